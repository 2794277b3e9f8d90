-- What was asked under each key: no bodies, no secrets; addresses of this API without what may name a person.

create table api_request (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  surface         text     not null,               -- merchant or pix
  caller_id       bigint   not null,               -- api_key or pix_credential, by surface
  request_id      text     not null,
  method          text     not null,
  path            text     not null,
  query           text     not null default '',
  operation       text     not null default '',    -- the path as documented; empty: no such address
  status          smallint not null,
  code            text     not null default '',    -- why it was refused
  duration_us     bigint   not null,
  ip              text     not null,
  agent           text     not null default '',
  idempotency_key text     not null default '',
  replayed        smallint not null check (replayed in (0, 1)),
  created_at      bigint   not null
);

create index api_request_caller on api_request (surface, caller_id, id);

create index api_request_merchant on api_request (merchant_id, mode, id);

create index api_request_key on api_request (merchant_id, mode, idempotency_key) where idempotency_key <> ''
