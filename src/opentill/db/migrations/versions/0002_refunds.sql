-- Refunds, disputes, what a person decides, manual gateways, conversion, and the merchant's settings for all of them.

-- Options of a merchant that differ from their defaults, JSON (merchants/settings.py).
alter table merchant add column settings text not null default '{}';

-- A price of two parts counts their sum or the greater one; tiers take the place of both.
alter table fee_rule add column joined text not null default 'sum' check (joined in ('sum', 'greater'));

alter table fee_rule add column tiers text check (tiers is null or (currency is not null and fixed_units = 0 and basis_points = 0));

-- A manual gateway is the merchant's own: what its page shows and asks is in its settings, JSON.
alter table merchant_gateway add column kind text not null default 'api' check (kind in ('api', 'manual'));

alter table merchant_gateway add column currency text;

alter table merchant_gateway add column min_units bigint;

alter table merchant_gateway add column max_units bigint;

alter table merchant_gateway add column settings text not null default '{}';

-- What went back, is going back, and was lost to disputes. A refund holds the row's lock while it changes them.
alter table payment add column refunding_units bigint not null default 0 check (refunding_units between refunded_units and units);

alter table payment add column lost_units bigint not null default 0 check (lost_units >= 0);

alter table payment add column dispute_status text;

-- Through a manual gateway.
alter table payment add column by_hand smallint not null default 0 check (by_hand in (0, 1));

-- What the gateway charges where it does not take the payment's currency; the rate is fixed with the session.
alter table payment add column charge_units bigint;

alter table payment add column charge_currency text;

alter table payment add column charge_rate text;

alter table payment add column charge_rate_at bigint;

alter table gateway_session add column charge_units bigint;

alter table gateway_session add column charge_currency text;

alter table gateway_session add column charge_rate text;

alter table gateway_session add column charge_rate_at bigint;

alter table receipt add column refunding_units bigint not null default 0 check (refunding_units between 0 and units);

-- A person's word completed a payment with this money, whatever its amount.
alter table receipt add column accepted smallint not null default 0 check (accepted in (0, 1));

create table exchange_rate (
  id              bigint generated always as identity primary key,
  base            text     not null check (length(base) = 3 and base = upper(base)),
  quote           text     not null check (length(quote) = 3 and quote = upper(quote)),
  source          text     not null check (source in ('feed', 'operator')),
  rate            text     not null,               -- quote units for one base unit, at most 12 significant digits
  taken_at        bigint   not null,
  unique (base, quote, source),
  check (base <> quote)
);

create table refund (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,        -- the idempotency key towards the gateway
  public_id       text     unique,                 -- PIXRET… on the rail
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  payment_id      bigint   references payment,     -- null: of money that belongs to no payment
  receipt_id      bigint   not null references receipt,
  gateway         text     not null,
  origin          text     not null check (origin in ('merchant', 'operator', 'provider')),
  status          text     not null check (status in ('pending', 'completed', 'failed')),
  step            text     not null check (step in ('calling', 'unknown', 'processing', 'by_hand', 'over')),
  units           bigint   not null check (units > 0),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  charge_units    bigint   not null check (charge_units >= 0),  -- what the gateway gives back
  charge_currency text     not null check (length(charge_currency) = 3 and charge_currency = upper(charge_currency)),
  fee_units       bigint   not null default 0 check (fee_units >= 0),  -- of the install's, goes back to the merchant
  hold            text     not null default 'none' check (hold in ('none', 'held', 'parked')),
  reason          text     not null default '',
  detail          text     not null default '{}',  -- what a rail remembers of it, JSON
  gateway_ref     text,
  failure_code    text,
  failure_message text,
  checks          integer  not null default 0,
  next_check_at   bigint,
  created_at      bigint   not null,
  processed_at    bigint,
  check ((status = 'pending') = (step <> 'over')),
  check ((status = 'pending') = (processed_at is null)),
  check (status = 'pending' or next_check_at is null)
);

create index refund_owner on refund (merchant_id, mode, id);

create index refund_payment on refund (payment_id, id) where payment_id is not null;

create index refund_receipt on refund (receipt_id, id);

create index refund_due on refund (next_check_at) where next_check_at is not null;

create table dispute (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  payment_id      bigint   not null references payment,
  receipt_id      bigint   not null references receipt,
  gateway         text     not null,
  ref             text,                            -- the provider's name for it
  status          text     not null check (status in ('open', 'under_review', 'won', 'lost', 'closed')),
  units           bigint   not null check (units > 0),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  charge_units    bigint   not null check (charge_units >= 0),
  charge_currency text     not null check (length(charge_currency) = 3 and charge_currency = upper(charge_currency)),
  reason          text     not null default '',
  evidence        text,
  evidence_due_at bigint,
  resolved_at     bigint,
  created_at      bigint   not null,
  updated_at      bigint   not null,
  check ((status in ('open', 'under_review')) = (resolved_at is null))
);

create index dispute_owner on dispute (merchant_id, mode, id);

create index dispute_payment on dispute (payment_id, id);

create unique index dispute_ref on dispute (merchant_id, mode, gateway, ref) where ref is not null;

create table submission (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  payment_id      bigint   not null references payment,
  session_id      bigint   not null references gateway_session,
  gateway         text     not null,
  provider_ref    text,
  sealed          text     not null,               -- the sender and the answers to extra fields, JSON
  state           text     not null check (state in ('open', 'replaced', 'approved', 'rejected')),
  created_at      bigint   not null,
  decided_at      bigint,
  check ((state = 'open') = (decided_at is null))
);

create unique index submission_open on submission (payment_id) where state = 'open';

create unique index submission_ref on submission (merchant_id, mode, gateway, provider_ref) where provider_ref is not null and state in ('open', 'approved');

create index submission_payment on submission (payment_id, id);

create table proof (
  id              bigint generated always as identity primary key,
  submission_id   bigint   not null references submission,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  name            text     not null,
  media_type      text     not null,
  bytes           integer  not null check (bytes between 1 and 5242880),
  sealed          text     not null,
  created_at      bigint   not null
);

create index proof_submission on proof (submission_id, id);

-- Who decides an item, and what was decided. `payment_id` spares a search by what the item is about.
alter table review_item add column kind text not null default 'odd' check (kind in ('odd', 'mismatch', 'late', 'submission', 'refund'));

alter table review_item add column payment_id bigint references payment;

alter table review_item add column receipt_id bigint references receipt;

alter table review_item add column claimed_by text;

alter table review_item add column claimed_at bigint;

alter table review_item add column approved_by text;

alter table review_item add column resolution text;

alter table review_item add column resolved_by text;

create index review_payment on review_item (payment_id) where payment_id is not null;
