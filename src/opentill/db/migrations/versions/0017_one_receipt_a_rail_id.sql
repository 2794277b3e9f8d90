-- Money a person had noted and its bank told of later, or that two accounts told of, was counted twice before this
-- revision. Such rows stay, marked; the others can be found by their name alone.
alter table receipt add column again smallint not null default 0 check (again in (0, 1));

update receipt set again = 1
 where gateway = 'pix' and length(ref) = 32 and exists (
       select 1 from receipt o
        where o.merchant_id = receipt.merchant_id and o.mode = receipt.mode and o.gateway = 'pix' and o.ref = receipt.ref
          and ((receipt.account = '' and o.account <> '')
               or ((receipt.account = '') = (o.account = '') and o.id < receipt.id)));

-- What providers call a payment otherwise is one only at the account it came to: the constraint of the table.
create unique index receipt_rail_once on receipt (merchant_id, mode, ref)
 where gateway = 'pix' and length(ref) = 32 and again = 0
