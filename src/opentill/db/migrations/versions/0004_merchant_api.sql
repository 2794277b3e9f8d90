-- What the merchant API keeps about its callers and its lists.

-- The key that took over when this one was rotated.
alter table api_key add column replaced_by bigint references api_key;

alter table api_key add column last_used_agent text;

-- What operators set for the whole installation: one row, or none while everything is as it came.
create table install (
  id              smallint primary key check (id = 1),
  maintenance     smallint not null default 0 check (maintenance in (0, 1)),
  require_super_admin_email smallint not null default 0 check (require_super_admin_email in (0, 1)),
  cors_origins    text     not null default '[]',  -- JSON list of origins
  changed_at      bigint   not null
);

-- Lists count and filter an owner's payments in this index alone, without reading the rows.
drop index payment_owner;

create index payment_owner on payment (merchant_id, mode, id, detail, gateway, created_at, expires_at);

-- Every thousandth payment of an owner: from the nearest one, a page by its number is a short walk.
create table payment_anchor (
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  ordinal         bigint   not null,               -- how many of the owner's payments there are up to this one
  payment_id      bigint   not null references payment,
  created_at      bigint   not null,               -- of that payment
  primary key (merchant_id, mode, ordinal)
);
