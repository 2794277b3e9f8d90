-- Letters to people. What a letter says, and to whom, is sealed, and destroyed once it was sent or given up.
create table mail (
  id              bigint generated always as identity primary key,
  public_id       text     not null unique,        -- its Message-ID, and the place of its seal
  merchant_id     bigint   references merchant,    -- null: a matter of the installation
  kind            text     not null,
  once            text     not null unique,        -- keyed hash of what it tells and whom: nothing is told twice
  told            integer  not null default 1 check (told > 0),  -- how often that happened before it went out
  sealed          text,                            -- JSON: address, language, facts
  state           smallint not null default 0 check (state between 0 and 5),
  attempts        integer  not null default 0,
  doubts          integer  not null default 0,     -- how often nobody knows whether the server took it
  due_at          bigint,                          -- queued: when to try; sending: when the lease ends; else null
  until_at        bigint   not null,               -- later it is not worth sending
  last_error      text,
  created_at      bigint   not null,
  ended_at        bigint,
  check ((state in (0, 1)) = (due_at is not null)),
  check ((state in (0, 1)) = (sealed is not null)),
  check ((state in (0, 1)) = (ended_at is null))
);

create index mail_due on mail (due_at, id) where due_at is not null;

create index mail_ended on mail (ended_at) where ended_at is not null;

-- The language somebody signed in with; letters to them are written in it.
alter table operator add column language text;
