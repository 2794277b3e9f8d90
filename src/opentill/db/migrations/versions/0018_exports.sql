-- Sheets that are written in the background, and the parts they are written in, which are sealed.
create table export (
  id              text     primary key,            -- exp_…
  merchant_id     bigint   not null references merchant,
  mode            smallint not null check (mode in (0, 1)),
  sheet           text     not null,               -- payments, refunds, payouts, fees, ledger
  wanted          text     not null,               -- what it is narrowed to, JSON
  state           smallint not null default 0 check (state in (0, 1, 2)), -- being written, done, failed
  cursor          text     not null default '',    -- where the next page begins
  parts           integer  not null default 0,
  lines           bigint   not null default 0,
  reached_at      bigint,                          -- the instant of the last line
  created_by      text     not null,
  created_at      bigint   not null,
  finished_at     bigint,
  check ((state = 0) = (finished_at is null))
);

create index export_owner on export (merchant_id, mode, created_at);

create index export_writing on export (created_at) where state = 0;

create index export_created on export (created_at);

create table export_part (
  export_id       text     not null references export,
  number          integer  not null,
  sealed          text     not null,               -- lines of the sheet, packed
  primary key (export_id, number)
)
