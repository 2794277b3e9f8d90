-- The tables of OpenTill, in PostgreSQL form; `ddl()` of db/dialect.py turns them into SQLite's.
-- Statements are separated by a blank line. Guards (triggers) differ and follow in a file per database.
--
-- Conventions: `…_at` is an instant in microseconds since 1970 UTC, `…_units` is money in 1/100 of the currency's
-- minor unit, `mode` is 0 live, 1 sandbox, `sealed…` is encrypted under the master key, `…_hash` cannot be read back.

-- merchants and their credentials

create table merchant (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  slug            text     not null unique,
  name            text     not null,
  city            text     not null default 'SAO PAULO',
  mode            smallint not null check (mode in (0, 1)),
  status          text     not null default 'active' check (status in ('active', 'suspended', 'closed')),
  expiry_s        integer  not null default 1800 check (expiry_s between 300 and 604800),
  sealed_secret   text     not null,               -- the default webhook secret (merchant-api.md §14.5)
  outbound_allow  text     not null default '[]',  -- hosts and networks an operator opened for this merchant
  created_at      bigint   not null
);

create table api_key (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  name            text     not null,
  prefix          text     not null,
  key_hash        text     not null unique,
  scopes          text     not null,               -- JSON list of read, write, admin
  status          text     not null default 'active' check (status in ('active', 'locked', 'revoked')),
  dialect         text     not null default 'auto' check (dialect in ('auto', 'seed', 'sdk')),
  rate_limit      integer  check (rate_limit between 1 and 1000000),
  allowed_ips     text     not null default '[]',
  expires_at      bigint,
  last_used_at    bigint,
  last_used_ip    text,
  created_at      bigint   not null
);

create index api_key_prefix on api_key (prefix);

create index api_key_owner on api_key (merchant_id, mode, id);

create table pix_credential (
  id              bigint generated always as identity primary key,
  client_id       text     not null unique,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  name            text     not null,
  secret_hash     text     not null,
  old_secret_hash text,
  old_secret_until_at bigint,
  permissions     text     not null,               -- JSON list (pix-api.md §6)
  check_ips       smallint not null check (check_ips in (0, 1)),
  allowed_ips     text     not null default '[]',
  status          text     not null default 'active' check (status in ('active', 'revoked')),
  expires_at      bigint,
  last_used_at    bigint,
  created_at      bigint   not null
);

create index pix_credential_owner on pix_credential (merchant_id, mode, id);

create table fee_rule (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   references merchant,
  gateway         text,
  currency        text,
  fixed_units     bigint   not null default 0 check (fixed_units >= 0),
  basis_points    integer  not null default 0 check (basis_points between 0 and 10000),
  min_units       bigint   check (min_units >= 0),
  max_units       bigint   check (max_units >= 0),
  active          smallint not null default 1 check (active in (0, 1)),
  created_at      bigint   not null,
  check (currency is not null or (fixed_units = 0 and min_units is null and max_units is null))
);

create unique index fee_rule_rank
  on fee_rule (coalesce(merchant_id, 0), coalesce(gateway, ''), coalesce(currency, '')) where active = 1;

-- people

create table operator (
  id              bigint generated always as identity primary key,
  email           text     not null unique,
  name            text     not null,
  password_hash   text     not null,
  status          text     not null default 'active' check (status in ('active', 'disabled')),
  created_at      bigint   not null
);

create table setup_link (
  token_hash      text     primary key,
  expires_at      bigint   not null,
  used_at         bigint,
  created_at      bigint   not null
);

create table audit_entry (
  id              bigint generated always as identity primary key,
  at              bigint   not null,
  actor           text     not null,
  origin          text     not null,               -- address, or 'command line'
  action          text     not null,
  subject         text     not null,
  detail          text     not null default '{}'   -- JSON: before and after, no secrets
);

-- the ledger

create table ledger_account (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  kind            text     not null check (kind in ('clearing', 'available', 'held', 'fees', 'suspense')),
  gateway         text     not null default '',    -- clearing only: one account per gateway
  balance_units   bigint   not null default 0,     -- the sum of its postings, kept by the guards
  last_journal_id bigint   not null default 0,
  unique (merchant_id, mode, currency, kind, gateway),
  check ((kind = 'clearing') = (gateway <> '')),
  check (kind <> 'held' or balance_units >= 0)
);

create table journal (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  kind            text     not null,               -- what happened, e.g. payment.completed
  source_type     text     not null,
  source_id       text     not null,
  entries         text     not null,               -- JSON [[account kind, gateway, units], …]: credit > 0, debit < 0
  created_at      bigint   not null,
  unique (merchant_id, source_type, source_id, kind)
);

create table posting (
  journal_id      bigint   not null references journal,
  line            integer  not null,
  account_id      bigint   not null references ledger_account,
  units           bigint   not null check (units <> 0),
  primary key (journal_id, line)
);

create index posting_account on posting (account_id, journal_id);

-- payments

create table customer (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  email_hash      text,
  phone_hash      text,
  sealed          text,                            -- JSON name, email, phone; null once erased
  created_at      bigint   not null
);

create unique index customer_email on customer (merchant_id, mode, email_hash) where email_hash is not null;

create table merchant_gateway (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  slug            text     not null,
  name            text     not null,
  position        integer  not null default 0,
  active          smallint not null default 1 check (active in (0, 1)),
  sealed_settings text,
  created_at      bigint   not null,
  unique (merchant_id, mode, slug)
);

create table payment (
  id              bigint generated always as identity primary key,
  uuid            text     not null unique,
  reference       text     not null unique,        -- txn_…
  token           text     not null unique,        -- the checkout's
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  status          text     not null check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled', 'expired')),
  detail          text     not null,               -- the transaction's finer word (merchant-api.md §10.2)
  units           bigint   not null check (units > 0),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  fee_units       bigint   not null default 0,
  refunded_units  bigint   not null default 0,
  order_id        text,
  description     text,
  redirect_url    text,
  cancel_url      text,
  callback_url    text,
  callback_bare   smallint not null default 0 check (callback_bare in (0, 1)),
  gateway         text,
  gateway_fixed   smallint not null default 0 check (gateway_fixed in (0, 1)),
  gateway_ref     text,                            -- the provider's name for the money
  customer_id     bigint   references customer,
  metadata        text     not null default '{}',
  late            smallint not null default 0 check (late in (0, 1)),
  created_at      bigint   not null,
  updated_at      bigint   not null,
  expires_at      bigint   not null,
  completed_at    bigint,
  check (fee_units between 0 and units),
  check (refunded_units between 0 and units),
  check ((status = 'completed') = (completed_at is not null))
);

create index payment_owner on payment (merchant_id, mode, id);

create index payment_order on payment (merchant_id, mode, order_id, id) where order_id is not null;

create unique index payment_gateway_ref on payment (merchant_id, mode, gateway, gateway_ref) where gateway_ref is not null;

create index payment_open on payment (expires_at) where status in ('pending', 'processing');

create table gateway_session (
  id              bigint generated always as identity primary key,
  reference       text     not null unique,        -- ses_…, the idempotency key towards the provider
  payment_id      bigint   not null references payment,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  gateway         text     not null,
  state           text     not null check (state in ('open', 'unknown', 'paid', 'declined', 'abandoned')),
  provider_ref    text,
  detail          text     not null default '{}',  -- what the gateway wants to remember, JSON
  reason          text,
  next_check_at   bigint,
  checks          integer  not null default 0,
  opened_at       bigint   not null,
  closed_at       bigint
);

create unique index gateway_session_open on gateway_session (payment_id) where state in ('open', 'unknown');

create index gateway_session_check on gateway_session (next_check_at) where state in ('open', 'unknown');

create index gateway_session_payment on gateway_session (payment_id, id);

create table receipt (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  gateway         text     not null,
  account         text     not null default '',    -- the provider account it arrived on
  ref             text     not null,               -- the provider's name: an end-to-end id for PIX
  public_id       text     unique,                 -- PIXIN… where it has no charge of its own
  payment_id      bigint   references payment,
  units           bigint   not null check (units > 0),
  currency        text     not null check (length(currency) = 3 and currency = upper(currency)),
  fee_units       bigint   not null default 0,
  origin          text     not null check (origin in ('charge', 'repeat', 'direct')),
  state           text     not null check (state in ('booked', 'held', 'suspense')),
  late            smallint not null default 0,
  payer_name      text,
  payer_document  text,
  payer_ispb      text,
  payer_bank_name text,
  received_at     bigint   not null,
  created_at      bigint   not null,
  unique (merchant_id, mode, gateway, account, ref),
  check (fee_units between 0 and units)
);

create index receipt_payment on receipt (payment_id) where payment_id is not null;

create index receipt_owner on receipt (merchant_id, mode, id);

create table review_item (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  subject_type    text     not null,
  subject_id      text     not null,
  reason          text     not null,
  detail          text     not null default '{}',
  created_at      bigint   not null,
  resolved_at     bigint
);

create index review_open on review_item (merchant_id, mode, id) where resolved_at is null;

create table idempotency (
  merchant_id     bigint   not null,
  mode            smallint not null,
  surface         text     not null check (surface in ('merchant', 'pix', 'form')),
  scope           text     not null default '',    -- PIX: method and path
  key             text     not null,
  fingerprint     text     not null,
  state           text     not null check (state in ('running', 'free', 'done')),
  chosen          text,                            -- JSON: ids already chosen for the operation
  status          integer,
  sealed_body     text,
  created_at      bigint   not null,
  locked_until_at bigint   not null,
  expires_at      bigint   not null,
  primary key (merchant_id, mode, surface, scope, key)
);

create index idempotency_expiry on idempotency (expires_at);

-- PIX

create table pix_account (
  id              bigint generated always as identity primary key,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  profile         text     not null,
  bank_name       text     not null,
  bank_ispb       text     not null,
  sealed_credentials text  not null,
  sealed_hook_token  text  not null,
  hook_token_hash text     not null,
  active          smallint not null default 1 check (active in (0, 1)),
  swept_until_at  bigint   not null,
  created_at      bigint   not null
);

create unique index pix_account_active on pix_account (merchant_id, mode) where active = 1;

create table pix_key (
  id              bigint generated always as identity primary key,
  account_id      bigint   not null references pix_account,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  key             text     not null,
  key_type        text     not null,
  status          text     not null default 'active' check (status in ('active', 'pending', 'portability', 'removed')),
  created_at      bigint   not null
);

create unique index pix_key_once on pix_key (mode, key) where status <> 'removed';

create index pix_key_owner on pix_key (merchant_id, mode, id);

create table pix_charge (
  id              text     primary key,            -- 25 characters; the provider's txid is ot + this
  payment_id      bigint   not null unique references payment,
  announces       smallint not null check (announces in (0, 1)),  -- 1: its payment is made known with it
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  account_id      bigint   not null references pix_account,
  state           text     not null check (state in ('creating', 'active', 'paying', 'completed', 'conflicted', 'expired', 'cancelled', 'rejected')),
  units           bigint   not null check (units > 0),
  key             text     not null,
  description     text     not null,
  external_id     text,
  code            text,                            -- the BR Code: QR content and copy-and-paste text
  expires_in_s    integer  not null,
  expires_at      bigint   not null,
  next_check_at   bigint,
  checks          integer  not null default 0,
  created_at      bigint   not null,
  updated_at      bigint   not null
);

create index pix_charge_owner on pix_charge (merchant_id, mode, created_at, id);

create index pix_charge_external on pix_charge (merchant_id, mode, external_id, created_at) where external_id is not null;

create index pix_charge_check on pix_charge (next_check_at) where next_check_at is not null;

create table pix_hint (
  id              bigint generated always as identity primary key,
  account_id      bigint   not null references pix_account,
  kind            text     not null,               -- charge, receipt
  ref             text     not null,               -- end-to-end id, or txid
  txid            text,
  tries           integer  not null default 0,
  due_at          bigint,                          -- null: dealt with
  created_at      bigint   not null,
  unique (account_id, kind, ref)
);

create index pix_hint_due on pix_hint (due_at) where due_at is not null;

create table provider_callback (
  id              bigint generated always as identity primary key,
  gateway         text     not null,
  account         text     not null,
  body_hash       text     not null,
  body            bytea    not null,
  received_at     bigint   not null,
  unique (gateway, account, body_hash)
);

-- the processes

create table worker_heartbeat (
  worker          text     primary key,
  started_at      bigint   not null,
  seen_at         bigint   not null
);

-- events and the webhook engine (webhooks.md §2.2)

create table event (
  seq           bigint generated always as identity primary key,
  id            text     not null unique,
  merchant_id   bigint   not null,
  mode          smallint not null,                 -- 0 live, 1 sandbox
  audience      smallint not null default 0,       -- 0 business, 1 operational, 2 test
  type          text     not null,                 -- canonical type (§10)
  merchant_type text,                              -- name in the merchant dialect, or null
  pix_type      text,                              -- name in the PIX dialect, or null
  object_type   text     not null,
  object_id     text     not null,                 -- ordering key
  occurred_at   bigint   not null,                 -- microseconds since 1970, UTC
  doc           bytea    not null,                 -- canonical document (§2.3)
  routing       text     not null default '{}',    -- callback address and its format; never rendered
  plan_state    smallint not null default 0        -- 0 to plan, 1 planned, 2 planning failed
);

create index event_owner   on event (merchant_id, mode, seq);

create index event_object on event (object_type, object_id, seq);

create index event_to_plan on event (seq) where plan_state <> 1;

create table webhook_endpoint (
  id            bigint generated always as identity primary key,
  public_id     text     not null unique,          -- wh_ + 12 hex
  merchant_id   bigint   not null,
  mode          smallint not null,
  kind          smallint not null,                 -- 0 registered, 1 callback origin, 2 operational
  transport     smallint not null default 0,       -- 0 push, 1 pull
  dialect       smallint not null,                 -- 0 merchant, 1 pix, 2 standard
  url           text     not null,                 -- kind 1: the origin; pull: empty
  state         smallint not null default 0,       -- 0 active, 1 paused, 2 disabled, 3 deleted, 4 activating
  state_reason  text,
  state_since   bigint   not null,
  options       text     not null default '{}',    -- validated JSON (§4.2)
  sealed        text,                              -- encrypted: outgoing credentials, custom headers
  version       integer  not null default 1,       -- +1 on every change
  created_at    bigint   not null
);

create index webhook_endpoint_owner on webhook_endpoint (merchant_id, mode, state);

create unique index webhook_endpoint_origin on webhook_endpoint (merchant_id, mode, url) where kind = 1;

create table webhook_secret (
  id            bigint generated always as identity primary key,
  endpoint_id   bigint   not null references webhook_endpoint,
  sealed        text     not null,
  fingerprint   text     not null,                 -- first 8 hex of SHA-256 of the text
  created_at    bigint   not null,
  retires_at    bigint                             -- null: current; else valid until
);

create unique index webhook_secret_current on webhook_secret (endpoint_id) where retires_at is null;

create table webhook_lane (
  endpoint_id   bigint   primary key references webhook_endpoint,
  open_at       bigint   not null default 0,       -- no claim before this instant
  breaker       smallint not null default 0,       -- 0 closed, 1 open, 2 half-open, 3 ramp
  breaker_step  smallint not null default 0,
  ramp_cap      integer,
  win_start     bigint   not null default 0,
  win_total     integer  not null default 0,
  win_failed    integer  not null default 0,
  timeout_run   integer  not null default 0,
  fail_run      integer  not null default 0,
  failing_since bigint,
  notice_step   smallint not null default 0,
  last_ok_at    bigint,
  tokens        double precision,
  tokens_at     bigint,
  floor_id      bigint   not null default 0,       -- deliveries up to here wait for a decision
  feed_seq      bigint   not null default 0        -- pull: last number given
);

create table webhook_payload (
  event_seq     bigint   not null,
  variant       text     not null,                 -- dialect/version/options
  body          bytea    not null,
  coding        smallint not null default 0,       -- 0 as is, 1 zlib
  sha256        text     not null,                 -- of the bytes as sent
  primary key (event_seq, variant)
);

create table webhook_delivery (
  id            bigint generated always as identity primary key,
  public_id     text     not null unique,          -- dlv_ + 24 hex
  event_seq     bigint   not null references event,
  endpoint_id   bigint   not null references webhook_endpoint,
  wire_type     text     not null,
  variant       text     not null,
  object_key    text     not null,
  target_url    text,                              -- callback deliveries only
  target_format smallint,                          -- callback deliveries only
  origin        smallint not null default 0,       -- 0 event, 1 redelivery, 2 replay, 3 test
  state         smallint not null default 0,       -- 0 due, 1 sending, 2 delivered, 3 dead, 4 held, 5 cancelled
  reason        text,
  klass         smallint not null default 0,       -- 0 first try, 1 retry, 2 bulk
  ordering      smallint not null default 0,       -- 0 none, 1 first try, 2 strict
  due_at        bigint   not null default 0,       -- 0 = at once
  attempts      integer  not null default 0,       -- finished attempts
  attempts_max  integer,                           -- null: the length of the schedule
  claim_gen     integer  not null default 0,
  lease_owner   text,
  lease_until   bigint,
  lost          integer  not null default 0,
  feed_seq      bigint,
  last_status   integer,
  last_outcome  text,
  created_at    bigint   not null,
  finished_at   bigint
) with (fillfactor = 80);

create unique index wd_once  on webhook_delivery (event_seq, endpoint_id) where origin = 0;

create unique index wd_live  on webhook_delivery (event_seq, endpoint_id) where state in (0, 1);

create index wd_due          on webhook_delivery (endpoint_id, klass, due_at, id) where state = 0;

create index wd_sending      on webhook_delivery (endpoint_id) where state = 1;

create index wd_lease        on webhook_delivery (lease_until) where state = 1;

create index wd_order        on webhook_delivery (endpoint_id, object_key, id) where state in (0, 1);

create index wd_list         on webhook_delivery (endpoint_id, id);

create index wd_event        on webhook_delivery (event_seq);

create unique index wd_feed  on webhook_delivery (endpoint_id, feed_seq) where feed_seq is not null;

create table webhook_replay (
  id            text     primary key,              -- rpl_ + 24 hex
  endpoint_id   bigint   not null references webhook_endpoint,
  selection     text     not null,                 -- JSON (§5.8)
  cursor_seq    bigint   not null default 0,
  until_seq     bigint   not null,
  queued        bigint   not null default 0,
  skipped       bigint   not null default 0,
  state         smallint not null default 0,       -- 0 running, 1 done, 2 cancelled
  created_by    text     not null,
  created_at    bigint   not null
);

create table webhook_signing_key (
  kid           text     primary key,
  merchant_id   bigint   not null,
  mode          smallint not null,
  sealed        text     not null,
  public_key    text     not null,
  created_at    bigint   not null,
  signs_from    bigint   not null,
  retires_at    bigint
);
