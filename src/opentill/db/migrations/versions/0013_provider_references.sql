-- A payment gets the reference when it is paid, so that making one costs nothing.
create index payment_provider_ref on payment (merchant_id, mode, gateway_ref, id) where gateway_ref is not null
