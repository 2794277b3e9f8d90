-- A payment may have several charges, one after the other.
alter table pix_charge drop constraint pix_charge_payment_id_key;

alter table pix_charge add column uuid text;

alter table pix_charge add column live_before text;

create unique index pix_charge_live on pix_charge (payment_id) where state in ('creating', 'active', 'paying');

create index pix_charge_payment on pix_charge (payment_id, created_at);

create unique index pix_charge_uuid on pix_charge (uuid) where uuid is not null;

-- A hold is covered by what the merchant has. Money that has left the bank already may take `available` below zero.
create function refuse_uncovered_hold() returns trigger language plpgsql as $$
begin
  if exists (select from journal j where j.id = new.last_journal_id
               and j.kind in ('payout.held', 'infraction.blocked')) then
    raise exception 'the hold is not covered' using errcode = 'check_violation';
  end if;
  return new;
end $$;

create trigger available_covers_holds before update on ledger_account for each row
  when (new.kind = 'available' and new.balance_units < 0) execute function refuse_uncovered_hold();

create function refuse_other_money() returns trigger language plpgsql as $$
begin
  raise exception '% keeps its money', tg_table_name using errcode = 'check_violation';
end $$;

create trigger pix_payout_keeps_its_money before update on pix_payout for each row
  when ((new.merchant_id, new.mode, new.account_id, new.units, new.fee_units, new.target)
        is distinct from (old.merchant_id, old.mode, old.account_id, old.units, old.fee_units, old.target))
  execute function refuse_other_money();

-- Looked up by the beginning of their ids, byte by byte.
create index pix_charge_tag on pix_charge (merchant_id, mode, id collate "C");

create index pix_payout_tag on pix_payout (merchant_id, mode, id collate "C");

create index pix_payout_return_tag on pix_payout_return (merchant_id, mode, id collate "C");

create index pix_infraction_return_tag on pix_infraction_return (merchant_id, mode, id collate "C");

create index receipt_tag on receipt (merchant_id, mode, public_id collate "C") where public_id is not null;
