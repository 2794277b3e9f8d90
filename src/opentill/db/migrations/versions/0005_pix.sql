-- Paying out, giving back, and contested receipts (pix-api.md §12 to §16).

create table pix_policy (
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  payouts         smallint not null default 1 check (payouts in (0, 1)),
  approve_from_units bigint check (approve_from_units >= 0),      -- payouts at or above wait for a second person
  approve_distinct smallint not null default 1 check (approve_distinct in (0, 1)),
  approve_within_s integer not null default 86400 check (approve_within_s > 0),
  payout_max_units bigint  check (payout_max_units >= 0),
  payout_day_units bigint  check (payout_day_units >= 0),
  payout_night_units bigint check (payout_night_units >= 0),      -- each payout from 20:00 to 06:00 in São Paulo
  payouts_per_minute integer check (payouts_per_minute > 0),
  charge_min_units bigint  check (charge_min_units >= 0),
  charge_max_units bigint  check (charge_max_units >= 0),
  refund_within_days integer not null default 90 check (refund_within_days between 1 and 90),
  block_from_units bigint  not null default 0 check (block_from_units >= 0),
  primary key (merchant_id, mode)
);

create table pix_payout (
  id              text     primary key,            -- PIXOUT…, also its name at the bank
  uuid            text     not null unique,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  account_id      bigint   not null references pix_account,
  state           text     not null check (state in ('pending_approval', 'accepted', 'queued', 'submitting', 'unknown', 'processing', 'held', 'completed', 'returned', 'failed')),
  units           bigint   not null check (units > 0),
  fee_units       bigint   not null check (fee_units >= 0),
  returned_units  bigint   not null default 0,
  target          text     not null,               -- JSON: a key, a code or a bank account
  recipient_key   text,
  description     text,
  external_id     text,
  end_to_end_id   text,
  recipient_name  text,
  recipient_document text,                         -- masked
  failure_reason  text,
  failure_code    text,
  retryable       smallint check (retryable in (0, 1)),
  created_by      text     not null,
  decided_by      text,
  decision_reason text,
  due_at          bigint,                          -- when somebody looks at it next; null: it is over
  tries           integer  not null default 0,     -- questions or calls in its present state
  submitted_at    bigint,                          -- the last call that sends it
  queued_at       bigint,
  created_at      bigint   not null,
  updated_at      bigint   not null,
  completed_at    bigint,
  failed_at       bigint,
  check (returned_units between 0 and units),
  check ((state = 'failed') = (failed_at is not null and completed_at is null)),
  check ((state in ('completed', 'returned')) = (completed_at is not null)),
  check ((state = 'returned') = (returned_units = units))
);

create index pix_payout_owner on pix_payout (merchant_id, mode, created_at, id);

create index pix_payout_external on pix_payout (merchant_id, mode, external_id, created_at) where external_id is not null;

create index pix_payout_rail on pix_payout (merchant_id, mode, end_to_end_id) where end_to_end_id is not null;

create index pix_payout_due on pix_payout (due_at) where due_at is not null;

create index pix_payout_quota on pix_payout (merchant_id, mode, submitted_at) where submitted_at is not null;

create table pix_payout_return (
  id              text     primary key,            -- PIXIN…
  uuid            text     not null unique,
  payout_id       text     not null references pix_payout,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  account_id      bigint   not null references pix_account,
  return_id       text     not null,               -- D…
  units           bigint   not null check (units > 0),
  reason          text,
  returned_at     bigint   not null,
  created_at      bigint   not null,
  unique (account_id, return_id)
);

create index pix_payout_return_owner on pix_payout_return (merchant_id, mode, created_at, id);

create index pix_payout_return_payout on pix_payout_return (payout_id);

create index pix_payout_return_rail on pix_payout_return (merchant_id, mode, return_id);

create table pix_infraction (
  id              text     primary key,            -- MED…
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  account_id      bigint   not null references pix_account,
  receipt_id      bigint   not null references receipt,
  ref             text     not null,               -- the bank's name; of one nobody announced, its first return
  state           text     not null check (state in ('open', 'defended', 'accepted', 'returned', 'rejected', 'cancelled')),
  kind            text     not null check (kind in ('REFUND_REQUEST', 'REFUND_CANCELLED')),
  units           bigint   not null check (units > 0),
  blocked_units   bigint   not null default 0,
  returned_units  bigint   not null default 0 check (returned_units >= 0),
  moves           integer  not null default 0,     -- journals of its block so far
  blocks          smallint not null default 1 check (blocks in (0, 1)),
  reason          text,
  counterpart_ispb text,
  defense_text    text,
  evidence        text,
  block_id        text     not null,
  task            text,                            -- what became of the defence at the bank: sent, by hand
  opened_at       bigint   not null,
  defense_until_at bigint  not null,
  defended_at     bigint,
  resolved_at     bigint,
  completed_at    bigint,
  watched_until_at bigint  not null,
  due_at          bigint,
  created_at      bigint   not null,
  unique (account_id, ref),
  check (blocked_units between 0 and units)
);

create index pix_infraction_owner on pix_infraction (merchant_id, mode, created_at, id);

create index pix_infraction_receipt on pix_infraction (receipt_id);

create index pix_infraction_open on pix_infraction (merchant_id, mode, id) where state in ('open', 'defended', 'accepted');

create index pix_infraction_due on pix_infraction (due_at) where due_at is not null;

create table pix_infraction_return (
  id              text     primary key,            -- PIXRET…
  uuid            text     not null unique,
  infraction_id   text     not null references pix_infraction,
  receipt_id      bigint   not null references receipt,
  merchant_id     bigint   not null references merchant,
  mode            smallint not null,
  account_id      bigint   not null references pix_account,
  return_id       text     not null,               -- D…
  units           bigint   not null check (units > 0),
  nature          text     not null,
  returned_at     bigint   not null,
  created_at      bigint   not null,
  unique (account_id, return_id)
);

create index pix_infraction_return_owner on pix_infraction_return (merchant_id, mode, created_at, id);

create index pix_infraction_return_rail on pix_infraction_return (merchant_id, mode, return_id);

create index pix_infraction_return_of on pix_infraction_return (infraction_id);

create table pix_infraction_day (
  day             text     primary key,            -- YYYYMMDD
  last            integer  not null
);

alter table receipt add column uuid text;

-- The charge it was paid for.
alter table receipt add column charge_id text;

create unique index receipt_uuid on receipt (uuid) where uuid is not null;

create index receipt_charge on receipt (charge_id) where charge_id is not null;

create index receipt_rail on receipt (merchant_id, mode, ref) where gateway = 'pix';

create index receipt_listed on receipt (merchant_id, mode, created_at, id) where gateway = 'pix';

create index pix_hint_done on pix_hint (created_at) where due_at is null;

alter table pix_account add column infractions_at bigint not null default 0;

alter table pix_account add column bank_document text;

create index refund_listed on refund (merchant_id, mode, created_at, public_id) where public_id is not null;

create index refund_rail on refund (merchant_id, mode, gateway_ref) where gateway_ref is not null;
