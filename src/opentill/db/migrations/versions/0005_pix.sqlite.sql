-- A payment may have several charges, one after the other: SQLite drops a constraint only with its table.
create table pix_charge_next (
  id              text     primary key,            -- 25 characters; the provider's txid is ot + this
  payment_id      integer  not null references payment,
  announces       integer  not null check (announces in (0, 1)),  -- 1: its payment is made known with it
  merchant_id     integer  not null references merchant,
  mode            integer  not null,
  account_id      integer  not null references pix_account,
  state           text     not null check (state in ('creating', 'active', 'paying', 'completed', 'conflicted', 'expired', 'cancelled', 'rejected')),
  units           integer  not null check (units > 0),
  key             text     not null,
  description     text     not null,
  external_id     text,
  code            text,                            -- the BR Code: QR content and copy-and-paste text
  expires_in_s    integer  not null,
  expires_at      integer  not null,
  next_check_at   integer,
  checks          integer  not null default 0,
  created_at      integer  not null,
  updated_at      integer  not null,
  uuid            text,
  live_before     text
) strict;

insert into pix_charge_next
  select id, payment_id, announces, merchant_id, mode, account_id, state, units, key, description, external_id, code,
         expires_in_s, expires_at, next_check_at, checks, created_at, updated_at, null, null
    from pix_charge;

drop table pix_charge;

alter table pix_charge_next rename to pix_charge;

create index pix_charge_owner on pix_charge (merchant_id, mode, created_at, id);

create index pix_charge_external on pix_charge (merchant_id, mode, external_id, created_at) where external_id is not null;

create index pix_charge_check on pix_charge (next_check_at) where next_check_at is not null;

create unique index pix_charge_live on pix_charge (payment_id) where state in ('creating', 'active', 'paying');

create index pix_charge_payment on pix_charge (payment_id, created_at);

create unique index pix_charge_uuid on pix_charge (uuid) where uuid is not null;

-- A hold is covered by what the merchant has. Money that has left the bank already may take `available` below zero.
create trigger available_covers_holds before update on ledger_account
when new.kind = 'available' and new.balance_units < 0
  and exists (select 1 from journal j where j.id = new.last_journal_id
                 and j.kind in ('payout.held', 'infraction.blocked'))
begin
  select raise(abort, 'the hold is not covered');
end;

create trigger pix_payout_keeps_its_money before update on pix_payout
when (new.merchant_id, new.mode, new.account_id, new.units, new.fee_units, new.target)
     is not (old.merchant_id, old.mode, old.account_id, old.units, old.fee_units, old.target)
begin
  select raise(abort, 'pix_payout keeps its money');
end;

-- Looked up by the beginning of their ids, byte by byte.
create index pix_charge_tag on pix_charge (merchant_id, mode, id);

create index pix_payout_tag on pix_payout (merchant_id, mode, id);

create index pix_payout_return_tag on pix_payout_return (merchant_id, mode, id);

create index pix_infraction_return_tag on pix_infraction_return (merchant_id, mode, id);

create index receipt_tag on receipt (merchant_id, mode, public_id) where public_id is not null;
