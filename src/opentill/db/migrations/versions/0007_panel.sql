-- What operators sign in with and what they may do.

alter table operator add column sealed_totp text;

-- The newest step whose code was used.
alter table operator add column totp_step bigint not null default 0;

create table operator_role (
  id              bigint generated always as identity primary key,
  slug            text     not null unique,
  name            text     not null,
  permissions     text     not null,               -- JSON list
  created_at      bigint   not null
);

create table operator_grant (
  id              bigint generated always as identity primary key,
  operator_id     bigint   not null references operator,
  merchant_id     bigint   references merchant,    -- null: every merchant, and the installation itself
  role            text     not null,               -- a preset, or the slug of an operator_role
  created_at      bigint   not null
);

create unique index operator_grant_once on operator_grant (operator_id, coalesce(merchant_id, 0));

insert into operator_grant (operator_id, role, created_at) select id, 'owner', created_at from operator;

create table operator_session (
  id              bigint generated always as identity primary key,
  public_id       text     not null unique,        -- the name it is listed and ended by
  token_hash      text     not null unique,
  operator_id     bigint   not null references operator,
  factor_due      smallint not null check (factor_due in (0, 1)),  -- 1: the password was right, the code is due
  origin          text     not null,
  agent           text     not null,
  created_at      bigint   not null,
  seen_at         bigint   not null,
  confirmed_at    bigint   not null,               -- when password and code were given last
  ends_at         bigint   not null,
  ended_at        bigint
);

create index operator_session_open on operator_session (operator_id, id) where ended_at is null;

create table recovery_code (
  code_hash       text     primary key,
  operator_id     bigint   not null references operator,
  used_at         bigint,
  created_at      bigint   not null
);

create index recovery_code_operator on recovery_code (operator_id);

create table operator_link (
  token_hash      text     primary key,
  operator_id     bigint   not null references operator,
  expires_at      bigint   not null,
  used_at         bigint,
  created_at      bigint   not null
);

-- Wrong passwords and codes are counted per account and address, and per address alone (account_hash is empty).
create table sign_in_door (
  account_hash    text     not null,
  origin          text     not null,
  failures        integer  not null,
  since_at        bigint   not null,
  locked_until_at bigint   not null default 0,
  primary key (account_hash, origin)
);

create table sign_in_attempt (
  id              bigint generated always as identity primary key,
  at              bigint   not null,
  operator_id     bigint   references operator,    -- null: nobody has that e-mail
  origin          text     not null,
  agent           text     not null,
  outcome         text     not null
);

-- The audit log is a chain: the value of each entry covers its own words and the value before it.
alter table audit_entry add column seq bigint;

alter table audit_entry add column chain text;

alter table audit_entry add column reason text not null default '';

alter table audit_entry add column merchant_id bigint references merchant;

create unique index audit_entry_seq on audit_entry (seq);

create index audit_entry_merchant on audit_entry (merchant_id, id);

create table audit_head (
  id              smallint primary key check (id = 1),
  seq             bigint   not null,
  chain           text     not null
);
