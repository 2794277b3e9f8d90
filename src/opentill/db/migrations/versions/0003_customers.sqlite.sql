-- Guards of payment links, for SQLite: every payment of a link is counted, whoever changes it.

-- A payment takes a place of its link when it is made; the CHECK of the link refuses it where there is none.
create trigger link_is_taken after insert on payment when new.link_id is not null begin
  update payment_link set open_count = open_count + 1 where id = new.link_id;
end;

-- A payment that ends gives its place back. One that completes keeps it, or, late, takes one whatever the limit says.
create trigger link_is_used after update of status on payment
when new.link_id is not null and new.status <> old.status and new.status not in ('pending', 'processing')
begin
  update payment_link
     set use_count = use_count + (new.status = 'completed'),
         open_count = open_count - (old.status in ('pending', 'processing')),
         over_count = max(0, coalesce(use_count + (new.status = 'completed') + open_count
                                      - (old.status in ('pending', 'processing')) - max_uses, 0))
   where id = new.link_id;
end;

create trigger payment_keeps_its_origin before update of link_id, invoice_id on payment
when new.link_id is not old.link_id or new.invoice_id is not old.invoice_id
begin
  select raise(abort, 'a payment keeps its link and its invoice');
end;
