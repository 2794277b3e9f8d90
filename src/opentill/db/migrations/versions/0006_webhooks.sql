-- what was removed in time leaves a sealed trace
create table event_checkpoint (
  id            bigint generated always as identity primary key,
  first_seq     bigint   not null,
  last_seq      bigint   not null check (last_seq >= first_seq),
  events        bigint   not null check (events > 0),
  chain         text     not null,               -- over these events and all purged before
  seal          text     not null,
  purged_at     bigint   not null
);

create index event_tests on event (seq) where audience = 2;

-- what the watch found last: orphans, and how many deliveries are in each state
create table webhook_watch (
  id            smallint primary key check (id = 1),
  seen_at       bigint   not null,
  found         text     not null                -- JSON
);

create index wd_unhappy on webhook_delivery (state, endpoint_id, id) where state in (3, 4);

-- feeds: whoever shows the token may read the endpoint's feed
alter table webhook_endpoint add column feed_token_hash text;

create unique index webhook_endpoint_feed on webhook_endpoint (feed_token_hash) where feed_token_hash is not null;

-- the consumer portal: links that were given out, and the browsers that opened them
create table portal_link (
  jti           text     primary key,
  merchant_id   bigint   not null references merchant,
  mode          smallint not null check (mode in (0, 1)),
  endpoints     text     not null,               -- JSON list of wh_…
  rights        text     not null,               -- JSON list of read, test, resend, rotate, edit
  created_by    text     not null,
  created_at    bigint   not null,
  expires_at    bigint   not null,
  revoked_at    bigint,
  uses          integer  not null default 0,
  used_at       bigint
);

create index portal_link_owner on portal_link (merchant_id, mode, created_at);

create table portal_session (
  token_hash    text     primary key,
  jti           text     not null references portal_link on delete cascade,
  seen_at       bigint   not null,
  expires_at    bigint   not null
);

create index portal_session_expiry on portal_session (expires_at);

-- what owners ask of the engine again: one delivery, or many by a job that goes on after any death

-- attempts finished before the schedule in force began: a recovered delivery has a whole one before it
alter table webhook_delivery add column schedule_from integer not null default 0;

-- when it was first delivered; it stays delivered, whatever becomes of a resend
alter table webhook_delivery add column delivered_at bigint;

alter table webhook_replay add column next_at bigint not null default 0;

alter table webhook_replay add column rate_per_s integer not null default 50;

alter table webhook_replay add column finished_at bigint;

create index webhook_replay_running on webhook_replay (next_at) where state = 0;

create index webhook_replay_endpoint on webhook_replay (endpoint_id, created_at);

-- the newest key of a merchant and mode; older ones retire
create unique index webhook_signing_key_newest on webhook_signing_key (merchant_id, mode) where retires_at is null;

-- how far waiting times were shifted in all after steps of the clock, so that each step is repaired once
create table webhook_clock (
  id            smallint primary key check (id = 1),
  shifted_us    bigint   not null
)
