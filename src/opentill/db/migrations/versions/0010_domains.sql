-- Hosts a merchant's payers and servers may use beside the installation's own.

create table merchant_domain (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  host            text     not null unique,
  token           text     not null,               -- what the TXT record has to say
  state           text     not null check (state in ('pending', 'verified', 'active')),
  failing_since   bigint,                          -- since when a recheck fails; that alone switches nothing off
  checked_at      bigint,
  created_at      bigint   not null
);

create index merchant_domain_merchant on merchant_domain (merchant_id, id);

-- The host its links carry; null: the installation's.
alter table merchant add column primary_host text
