-- What providers told us. Numbered among the deliveries, so that both are listed in one order.

create table gateway_callback (
  id              bigint   primary key,
  public_id       text     not null unique,        -- dlv_ + 24 hex
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  gateway         text     not null,
  event_key       text,                            -- the provider's event id, else the body's hash; null: rejected
  state           text     not null check (state in ('received', 'rejected')),
  reason          text     not null default '',    -- why it was rejected
  status          smallint not null,               -- what was answered
  payment_id      bigint   references payment,
  method          text     not null,
  url             text     not null,
  headers         text     not null,               -- JSON, without credentials
  body            bytea    not null,
  times           integer  not null default 1,     -- how often it came
  created_at      bigint   not null,
  unique (merchant_id, mode, gateway, event_key),
  check ((state = 'rejected') = (event_key is null))
);

create index gateway_callback_list on gateway_callback (merchant_id, mode, id);

create index gateway_callback_gateway on gateway_callback (merchant_id, mode, gateway, id);

create index gateway_callback_payment on gateway_callback (payment_id) where payment_id is not null
