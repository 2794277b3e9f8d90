-- Guards of the ledger and of the audit log, and the attempt log, for SQLite.

create table webhook_attempt (
  id            integer primary key autoincrement,
  public_id     text     not null,
  delivery_id   integer  not null,
  endpoint_id   integer  not null,
  number        integer  not null,
  claim_gen     integer  not null,
  started_at    integer  not null,
  duration_us   integer  not null,
  outcome       text     not null,
  status        integer,
  fenced        integer  not null default 0,
  detail        text     not null,
  body          blob
) strict;

create index wa_delivery on webhook_attempt (delivery_id, started_at);

create index wa_endpoint on webhook_attempt (endpoint_id, started_at desc, id desc);

-- A journal is one insert; this trigger is the only writer of postings and balances.
create trigger journal_balances before insert on journal
when not json_valid(new.entries) or json_type(new.entries) <> 'array'
  or (select count(*) < 2
             or sum(case when e.type = 'array' and json_array_length(e.value) = 3
                              and json_type(e.value, '$[0]') = 'text' and json_type(e.value, '$[1]') = 'text'
                              and json_type(e.value, '$[2]') = 'integer' then 0 else 1 end) > 0
             or coalesce(sum(case when e.type = 'array' then json_extract(e.value, '$[2]') end), 1) <> 0
        from json_each(new.entries) e)
begin
  select raise(abort, 'journal does not balance');
end;

create trigger journal_expand after insert on journal begin
  insert into ledger_account (merchant_id, mode, currency, kind, gateway)
  select new.merchant_id, new.mode, new.currency, json_extract(e.value, '$[0]'), json_extract(e.value, '$[1]')
    from json_each(new.entries) e where true
  on conflict do nothing;
  insert into posting (journal_id, line, account_id, units)
  select new.id, e.key, a.id, json_extract(e.value, '$[2]')
    from json_each(new.entries) e
    join ledger_account a
      on a.merchant_id = new.merchant_id and a.mode = new.mode and a.currency = new.currency
     and a.kind = json_extract(e.value, '$[0]') and a.gateway = json_extract(e.value, '$[1]');
  update ledger_account
     set balance_units = balance_units + (select sum(p.units) from posting p
                                           where p.journal_id = new.id and p.account_id = ledger_account.id),
         last_journal_id = new.id
   where id in (select account_id from posting where journal_id = new.id);
  -- `insert or ignore` would carry its indulgence into the statements above.
  select raise(abort, 'journal was posted in part')
   where (select count(*) from posting where journal_id = new.id) <> json_array_length(new.entries)
      or exists (select 1 from posting p join ledger_account a on a.id = p.account_id
                  where p.journal_id = new.id and a.last_journal_id <> new.id);
end;

-- A posting is a line of its journal and nothing else; its primary key lets each line in once.
create trigger posting_by_journal before insert on posting
when not exists (select 1 from journal j, json_each(j.entries) e, ledger_account a
                  where j.id = new.journal_id and e.key = new.line and a.id = new.account_id
                    and a.merchant_id = j.merchant_id and a.mode = j.mode and a.currency = j.currency
                    and a.kind = json_extract(e.value, '$[0]') and a.gateway = json_extract(e.value, '$[1]')
                    and json_extract(e.value, '$[2]') = new.units)
begin
  select raise(abort, 'posting is written by journals only');
end;

-- A balance moves by the postings of a newer journal, once each.
create trigger balance_by_journal before update on ledger_account
when new.last_journal_id <= old.last_journal_id
  or new.balance_units is not old.balance_units + (select sum(p.units) from posting p
                                                    where p.journal_id = new.last_journal_id and p.account_id = old.id)
  or (new.id, new.merchant_id, new.mode, new.currency, new.kind, new.gateway)
     is not (old.id, old.merchant_id, old.mode, old.currency, old.kind, old.gateway)
begin
  select raise(abort, 'ledger_account is written by journals only');
end;

create trigger account_starts_empty before insert on ledger_account
when new.balance_units <> 0 or new.last_journal_id <> 0 begin
  select raise(abort, 'ledger_account starts empty');
end;

create trigger ledger_account_refuses_delete before delete on ledger_account begin
  select raise(abort, 'ledger_account is append-only');
end;

create trigger posting_refuses_update before update on posting begin
  select raise(abort, 'posting is append-only');
end;

create trigger posting_refuses_delete before delete on posting begin
  select raise(abort, 'posting is append-only');
end;

create trigger journal_refuses_update before update on journal begin
  select raise(abort, 'journal is append-only');
end;

create trigger journal_refuses_delete before delete on journal begin
  select raise(abort, 'journal is append-only');
end;

create trigger audit_entry_refuses_update before update on audit_entry begin
  select raise(abort, 'audit_entry is append-only');
end;

create trigger audit_entry_refuses_delete before delete on audit_entry begin
  select raise(abort, 'audit_entry is append-only');
end;

create trigger receipt_refuses_delete before delete on receipt begin
  select raise(abort, 'receipt is append-only');
end;

-- What arrived is a fact; only what became of it may change.
create trigger receipt_keeps_its_money before update on receipt
when (new.merchant_id, new.mode, new.gateway, new.account, new.ref, new.units, new.currency, new.received_at)
     is not
     (old.merchant_id, old.mode, old.gateway, old.account, old.ref, old.units, old.currency, old.received_at)
begin
  select raise(abort, 'receipt is append-only');
end;
