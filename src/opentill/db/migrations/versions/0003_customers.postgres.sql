-- Guards of payment links, for PostgreSQL: every payment of a link is counted, whoever changes it.

-- A payment takes a place of its link when it is made; the CHECK of the link refuses it where there is none.
create function link_take() returns trigger language plpgsql as $$
begin
  update payment_link set open_count = open_count + 1 where id = new.link_id;
  return null;
end $$;

-- A payment that ends gives its place back. One that completes keeps it, or, late, takes one whatever the limit says.
create function link_use() returns trigger language plpgsql as $$
declare
  used integer := cast(new.status = 'completed' as integer);
  ended integer := cast(old.status in ('pending', 'processing') as integer);
begin
  update payment_link
     set use_count = use_count + used,
         open_count = open_count - ended,
         over_count = greatest(0, coalesce(use_count + used + open_count - ended - max_uses, 0))
   where id = new.link_id;
  return null;
end $$;

create function refuse_other_origin() returns trigger language plpgsql as $$
begin
  raise exception 'a payment keeps its link and its invoice' using errcode = 'check_violation';
end $$;

create trigger link_is_taken after insert on payment for each row
  when (new.link_id is not null) execute function link_take();

create trigger link_is_used after update of status on payment for each row
  when (new.link_id is not null and new.status <> old.status and new.status not in ('pending', 'processing'))
  execute function link_use();

create trigger payment_keeps_its_origin before update of link_id, invoice_id on payment for each row
  when (new.link_id is distinct from old.link_id or new.invoice_id is distinct from old.invoice_id)
  execute function refuse_other_origin();
