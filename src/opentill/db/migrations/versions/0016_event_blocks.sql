-- The first and the last time among the payments of a block, so that lists of a span of time know whether it matters
-- whatever clocks did. Whoever counts a block sets them.
alter table payment_anchor add column oldest bigint;

alter table payment_anchor add column newest bigint;

-- Who did not see the block when it was set may still change what it holds, and not know that it is to be forgotten.
alter table payment_anchor add column set_at bigint not null default 0;

update payment_anchor set tally = null;

-- Blocks of an owner's events, as those of payments: what each holds, as JSON: how many of each name.
create table event_block (
  merchant_id     bigint   not null,
  mode            smallint not null,
  up_to           bigint   not null,               -- the number of its last event
  set_at          bigint   not null,
  oldest          bigint,
  newest          bigint,
  tally           text,                            -- null where nobody has counted since an event of it was removed
  primary key (merchant_id, mode, up_to)
);

create index event_block_uncounted on event_block (set_at) where tally is null
