-- What providers call a payment otherwise is one only at the account it came to: the constraint of the table.
create unique index receipt_rail_once on receipt (merchant_id, mode, ref) where gateway = 'pix' and length(ref) = 32
