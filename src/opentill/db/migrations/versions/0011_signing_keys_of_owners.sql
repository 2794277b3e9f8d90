create index webhook_signing_key_owner on webhook_signing_key (merchant_id, mode);
