-- Guards of the ledger and of the audit log, and the partitioned attempt log, for PostgreSQL.

create table webhook_attempt (
  id            bigint generated always as identity,
  public_id     text     not null,
  delivery_id   bigint   not null,
  endpoint_id   bigint   not null,
  number        integer  not null,
  claim_gen     integer  not null,
  started_at    bigint   not null,
  duration_us   integer  not null,
  outcome       text     not null,
  status        integer,
  fenced        smallint not null default 0,
  detail        text     not null,
  body          bytea,
  primary key (started_at, id)
) partition by range (started_at);

create index wa_delivery on webhook_attempt (delivery_id, started_at);

create index wa_endpoint on webhook_attempt (endpoint_id, started_at desc, id desc);

alter table webhook_delivery set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- A journal is one insert; this trigger is the only writer of postings and balances.
create function journal_expand() returns trigger language plpgsql as $$
declare
  entries json := cast(new.entries as json);  -- not jsonb, in which 5e2 would be a whole number
  total numeric;
  lines integer;
  posted integer;
begin
  select coalesce(sum(cast(e.value ->> 2 as bigint)), 1), count(*)
    into total, lines
    from json_array_elements(entries) e
   where json_array_length(e.value) = 3
     and json_typeof(e.value -> 0) = 'string' and json_typeof(e.value -> 1) = 'string'
     and json_typeof(e.value -> 2) = 'number';
  if total <> 0 or lines < 2 or lines <> json_array_length(entries) then
    raise exception 'journal does not balance' using errcode = 'check_violation';
  end if;
  insert into ledger_account (merchant_id, mode, currency, kind, gateway)
  select distinct new.merchant_id, new.mode, new.currency, e.value ->> 0, e.value ->> 1
    from json_array_elements(entries) e
  on conflict do nothing;
  insert into posting (journal_id, line, account_id, units)
  select new.id, e.line - 1, a.id, cast(e.value ->> 2 as bigint)
    from json_array_elements(entries) with ordinality e (value, line)
    join ledger_account a
      on a.merchant_id = new.merchant_id and a.mode = new.mode and a.currency = new.currency
     and a.kind = e.value ->> 0 and a.gateway = e.value ->> 1;
  get diagnostics posted = row_count;
  if posted <> lines then
    raise exception 'journal was posted in part' using errcode = 'check_violation';
  end if;
  -- Every journal locks its accounts in one order, so that two of them cannot wait for each other. Not `for update`:
  -- that would wait for the key-share lock which the foreign key of another journal's posting has taken already.
  perform 1 from ledger_account
    where id in (select account_id from posting where journal_id = new.id) order by id for no key update;
  update ledger_account a
     set balance_units = a.balance_units + s.units, last_journal_id = new.id
    from (select account_id, sum(units) as units from posting where journal_id = new.id group by account_id) s
   where a.id = s.account_id;
  return null;
end $$;

create trigger journal_expand after insert on journal for each row execute function journal_expand();

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'check_violation';
end $$;

-- Postings and balances change inside a journal's trigger (depth 1) and nowhere else.
create function refuse_outside_journal() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() < 2 then
    raise exception '% is written by journals only', tg_table_name using errcode = 'check_violation';
  end if;
  return new;
end $$;

create trigger posting_by_journal before insert on posting for each row execute function refuse_outside_journal();

create trigger balance_by_journal before update on ledger_account for each row execute function refuse_outside_journal();

create trigger account_starts_empty before insert on ledger_account for each row
  when (new.balance_units <> 0 or new.last_journal_id <> 0) execute function refuse_change();

create trigger account_is_kept before delete or truncate on ledger_account execute function refuse_change();

create trigger posting_is_kept before update or delete or truncate on posting execute function refuse_change();

create trigger journal_is_kept before update or delete or truncate on journal execute function refuse_change();

create trigger audit_is_kept before update or delete or truncate on audit_entry execute function refuse_change();

create trigger receipt_is_kept before delete or truncate on receipt execute function refuse_change();

-- What arrived is a fact; only what became of it may change.
create trigger receipt_keeps_its_money before update on receipt for each row
  when ((new.merchant_id, new.mode, new.gateway, new.account, new.ref, new.units, new.currency, new.received_at)
        is distinct from
        (old.merchant_id, old.mode, old.gateway, old.account, old.ref, old.units, old.currency, old.received_at))
  execute function refuse_change();
