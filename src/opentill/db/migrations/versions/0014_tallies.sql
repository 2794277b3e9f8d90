-- What is in the block of payments that ends at an anchor, as JSON: [state, gateway, disputed, how many] each. Null
-- where nobody has counted since a payment of it changed; empty where the clock alone can change one.
alter table payment_anchor add column tally text;

create index payment_anchor_block on payment_anchor (merchant_id, mode, payment_id);

create index payment_anchor_uncounted on payment_anchor (created_at) where tally is null
