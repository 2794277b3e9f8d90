-- Customers that can be listed, payment links, invoices, and what a merchant's pages look like.

alter table merchant add column support_email text;

alter table merchant add column support_phone text;

-- The brand's colour as #rrggbb; null is OpenTill's own.
alter table merchant add column colour text check (colour is null or length(colour) = 7);

alter table merchant add column time_zone text not null default 'America/Sao_Paulo';

alter table merchant add column after_payment text not null default 'receipt' check (after_payment in ('receipt', 'redirect'));

create table merchant_logo (
  merchant_id     bigint   primary key references merchant,
  media_type      text     not null check (media_type in ('image/png', 'image/jpeg', 'image/webp')),
  body            bytea    not null,
  digest          text     not null,               -- SHA-256 hex of the body: its address changes with it
  created_at      bigint   not null
);

create index customer_owner on customer (merchant_id, mode, id);

create index customer_phone on customer (merchant_id, mode, phone_hash, id) where phone_hash is not null;

-- Uses: `use_count` payments completed, `open_count` are under way, `over_count` of the two came against the limit,
-- because money that arrives is never refused. The guards of the payments keep all three.
create table payment_link (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  slug            text     not null unique,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  status          text     not null default 'active' check (status in ('active', 'inactive')),
  title           text     not null,
  description     text,
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  units           bigint   check (units > 0),      -- null: the payer says how much
  min_units       bigint   check (min_units > 0),
  max_units       bigint   check (max_units > 0),
  redirect_url    text,
  callback_url    text,
  callback_bare   smallint not null default 0 check (callback_bare in (0, 1)),
  gateway         text,
  require_address smallint not null default 0 check (require_address in (0, 1)),
  fields          text     not null default '[]',  -- JSON: what else the payer is asked
  metadata        text     not null default '{}',
  max_uses        bigint   check (max_uses >= 1),
  use_count       bigint   not null default 0 check (use_count >= 0),
  open_count      bigint   not null default 0 check (open_count >= 0),
  over_count      bigint   not null default 0 check (over_count >= 0),
  expires_at      bigint,
  created_at      bigint   not null,
  updated_at      bigint   not null,
  check (units is null or (min_units is null and max_units is null)),
  check (min_units is null or max_units is null or min_units <= max_units),
  constraint payment_link_uses check (max_uses is null or use_count + open_count <= max_uses + over_count)
);

create index payment_link_owner on payment_link (merchant_id, mode, id);

create table invoice (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  token           text     not null unique,        -- its page's
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  number          text     not null,
  status          text     not null default 'draft' check (status in ('draft', 'sent', 'paid', 'cancelled')),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  items           text     not null,               -- JSON list of description, hundredths, price_units, total_units
  subtotal_units  bigint   not null check (subtotal_units >= 0),
  tax_units       bigint   not null check (tax_units >= 0),
  discount_units  bigint   not null check (discount_units >= 0),
  total_units     bigint   not null check (total_units > 0),
  paid_units      bigint   not null default 0 check (paid_units >= 0),
  notes           text,
  due_on          text,                            -- the merchant's day, YYYY-MM-DD
  due_until_at    bigint,                          -- the instant that day ends
  customer_id     bigint   references customer,
  redirect_url    text,
  callback_url    text,
  callback_bare   smallint not null default 0 check (callback_bare in (0, 1)),
  metadata        text     not null default '{}',
  payment_id      bigint   references payment,     -- what paid it; null if paid offline
  paid_at         bigint,
  created_at      bigint   not null,
  updated_at      bigint   not null,
  unique (merchant_id, mode, number),
  check (total_units = subtotal_units + tax_units - discount_units),
  check ((status = 'paid') = (paid_at is not null)),
  check ((due_on is null) = (due_until_at is null))
);

create index invoice_owner on invoice (merchant_id, mode, id);

-- The last number given to an invoice that came without one.
create table invoice_number (
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  last            bigint   not null,
  primary key (merchant_id, mode)
);

alter table payment add column link_id bigint references payment_link;

alter table payment add column invoice_id bigint references invoice;

create index payment_of_link on payment (link_id, id) where link_id is not null;

create index payment_of_invoice on payment (invoice_id, id) where invoice_id is not null;

-- Two people who open one invoice share its one payment.
create unique index payment_invoice_open on payment (invoice_id)
  where invoice_id is not null and status in ('pending', 'processing');

create index merchant_logo_digest on merchant_logo (digest);
