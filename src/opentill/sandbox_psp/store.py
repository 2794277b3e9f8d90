"""The bank's books: one SQLite file that several processes may share and that survives a restart.

Transactions are short and run on the event loop: the few tens of microseconds they take are less than
handing them to another thread would cost. A commit takes more than all statements of a request, so the requests of
one turn of the event loop share one. What waits for the disk, moving the log into the file, is left to `checkpoint`,
which is called from another thread.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

BUSY_MS: Final = 5_000
LOG_PAGES_MAX: Final = 10_000  # before a commit moves the log into the file itself

SCHEMA: Final = """
create table if not exists account (
  id           integer primary key,
  client_id    text    not null unique,
  secret_hash  text    not null,
  document     text    not null,
  name         text    not null,
  city         text    not null,
  scopes       text    not null,
  created_at   integer not null
) strict;

create table if not exists account_key (
  key          text    primary key,
  account_id   integer not null references account
) strict;

create table if not exists token (
  hash         text    primary key,
  account_id   integer not null references account,
  scopes       text    not null,
  expires_at   integer not null
) strict;

create table if not exists charge (
  id           integer primary key,
  account_id   integer not null references account,
  document     text    not null,             -- of the receiver: a txid is used once per document
  txid         text    not null,
  status       text    not null,
  revision     integer not null default 0,
  executions   integer not null default 1,   -- how often a PUT was carried out
  amount       integer not null,             -- centavos
  key          text    not null,
  expires_in_s integer not null,
  body         text    not null,             -- the request's other members, as JSON
  place        text    not null unique,      -- the last part of the location it gets where it names none
  created_at   integer not null,
  unique (document, txid)
) strict;

create index if not exists charge_list on charge (account_id, created_at, id);

create table if not exists location (
  id           integer primary key,
  account_id   integer not null references account,
  kind         text    not null,             -- of the charges it takes
  place        text    not null unique,      -- its last part
  charge_id    integer unique references charge,
  created_at   integer not null
) strict;

create index if not exists location_list on location (account_id, created_at, id);

create table if not exists charge_revision (
  charge_id    integer not null references charge,
  revision     integer not null,
  answer       text    not null,             -- the charge as it was
  primary key (charge_id, revision)
) strict, without rowid;

create table if not exists creation (       -- creations that a magic amount makes misbehave
  account_id   integer not null references account,
  txid         text    not null,
  answer       text    not null,             -- what reads answer too, empty for none
  until_at     integer not null,
  primary key (account_id, txid)
) strict, without rowid;

create table if not exists receipt (
  id             integer primary key,
  e2e_id         text    not null unique,
  account_id     integer not null references account,
  charge_id      integer references charge,
  txid           text,
  amount         integer not null,           -- centavos
  key            text    not null,
  payer_name     text    not null,
  payer_document text    not null,
  message        text,
  settled_at     integer not null
) strict;

create index if not exists receipt_list on receipt (account_id, settled_at, id);

create index if not exists receipt_charge on receipt (charge_id) where charge_id is not null;

create table if not exists return (         -- money of a receipt going back to its payer
  id             integer primary key,
  receipt_id     integer not null references receipt,
  account_id     integer not null references account,
  ref            text    not null,
  rtr_id         text    not null unique,
  amount         integer not null check (amount > 0),
  nature         text    not null,
  text           text,
  status         text    not null,
  reason         text,
  requested_at   integer not null,
  settled_at     integer,
  unique (receipt_id, ref)
) strict;

create index if not exists return_account on return (account_id, settled_at);

create table if not exists payout (
  id             integer primary key,
  account_id     integer not null references account,
  ref            text    not null,
  e2e_id         text    not null unique,
  amount         integer not null check (amount > 0),
  status         text    not null,
  code           text,                       -- why it was not carried out
  payee_key      text    not null,
  payee_txid     text,
  payee_name     text    not null,
  payee_document text    not null,
  payee_account_id integer references account, -- where the recipient banks here too
  charge_id      integer references charge,  -- the charge it pays
  text           text,
  created_at     integer not null,
  settled_at     integer,
  unique (account_id, ref)
) strict;

create table if not exists payout_return (  -- money of a payout that its recipient sent back
  id             integer primary key,
  payout_id      integer not null references payout,
  rtr_id         text    not null unique,
  amount         integer not null check (amount > 0),
  reason         text    not null,
  settled_at     integer not null
) strict;

create index if not exists payout_return_payout on payout_return (payout_id);

create table if not exists infraction (     -- a receipt its payer contests
  id             integer primary key,
  name           text    not null unique,
  account_id     integer not null references account,
  receipt_id     integer not null references receipt,
  amount         integer not null,
  reason         text    not null,
  status         text    not null,
  defence        text,
  opened_at      integer not null,
  changed_at     integer not null,
  defence_by     integer not null,
  resolved_at    integer
) strict;

create index if not exists infraction_list on infraction (account_id, changed_at, id);

create table if not exists webhook (
  key          text    primary key,
  account_id   integer not null references account,
  url          text    not null,
  created_at   integer not null
) strict;

create table if not exists effect (         -- what is going to happen, and when
  id           integer primary key,
  account_id   integer not null references account,
  kind         text    not null,
  key          text    not null default '',  -- notifications of one key may go together
  detail       text    not null,
  tries        integer not null default 0,
  due_at       integer not null,
  created_at   integer not null
) strict;

create index if not exists effect_due on effect (due_at);

create table if not exists fault (
  id           integer primary key,
  account_id   integer references account,   -- null: every account
  operation    text    not null,
  fault        text    not null,
  match        text    not null,
  delay_ms     integer not null,
  count        integer not null,
  per_mille    integer not null,             -- how often it strikes where it may
  used         integer not null default 0
) strict;

create table if not exists reference (      -- what the merchant calls what it asked for, to match faults with
  account_id   integer not null references account,
  name         text    not null,            -- txid, or reference of a payout
  external_id  text    not null,
  primary key (account_id, name)
) strict;

create table if not exists request (
  id           integer primary key,
  at           integer not null,
  account_id   integer,
  method       text    not null,
  path         text    not null,
  body         text    not null,
  status       integer not null             -- 0: the connection was broken instead
) strict;

create table if not exists meta (
  name         text    primary key,
  value        text    not null
) strict, without rowid;
"""

# Columns that books of an older version lack.
ADDED: Final = {
    "charge": "kind text not null default 'cob'",  # or cobv: with a due date
    "receipt": "components text",  # of what was paid, as JSON, where it was more than one amount
}

# In books of an older version every charge had a location of its own, by the number of the charge.
LOCATIONS_OF_CHARGES: Final = """
insert or ignore into location (id, account_id, kind, place, charge_id, created_at)
select id, account_id, kind, place, id, created_at from charge
"""

Row = sqlite3.Row


class Store:
    """The one connection of this process."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._stored: asyncio.Future[None] | None = None  # the commit of what this turn of the event loop shares
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1_000, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute(f"pragma wal_autocheckpoint = {LOG_PAGES_MAX}")
        self._connection.execute("pragma foreign_keys = on")
        without_locations = self._has("charge") and not self._has("location")
        self._connection.executescript(SCHEMA)
        for table, column in ADDED.items():
            known = {row["name"] for row in self._connection.execute(f"pragma table_info({table})")}
            if column.split()[0] not in known:
                self._connection.execute(f"alter table {table} add column {column}")
        if without_locations:
            self._connection.execute(LOCATIONS_OF_CHARGES)

    def close(self) -> None:
        self._commit_shared()
        self._connection.close()

    def checkpoint(self) -> None:
        """Move the log into the file. Uses a connection of its own, so any thread may call it."""
        with closing(sqlite3.connect(self._path, timeout=BUSY_MS / 1_000)) as connection:
            connection.execute("pragma wal_checkpoint(passive)")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or nothing of it."""
        self._commit_shared()
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Do the block in one transaction with all that shares this turn of the event loop; see `stored`.

        What the block raises undoes the block alone; a commit that fails undoes all, and they are told.
        """
        if self._stored is None:
            self._connection.execute("begin immediate")
            loop = asyncio.get_running_loop()
            self._stored = loop.create_future()
            loop.call_soon(self._commit_shared)
        self._connection.execute("savepoint one")
        try:
            yield
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("rollback to one")
                self._connection.execute("release one")
            else:  # SQLite gave up all of it, as it does on a full disk
                self._undo_shared(error)
            raise
        self._connection.execute("release one")

    def stored(self) -> Awaitable[None]:
        """Return what ends once all that was shared in this turn is committed. It raises what kept it from that."""
        if self._stored is None:
            return asyncio.sleep(0)
        return asyncio.shield(self._stored)  # others wait for it too

    def _commit_shared(self) -> None:
        if self._stored is None:
            return
        try:
            self._connection.execute("commit")
        except sqlite3.Error as error:
            self._undo_shared(error)
        else:
            stored, self._stored = self._stored, None
            stored.set_result(None)

    def _undo_shared(self, error: BaseException) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")
        stored, self._stored = self._stored, None
        if stored is not None:
            stored.set_exception(sqlite3.OperationalError(f"the transaction was given up: {error!r}"))
            stored.exception()  # perhaps nobody waits

    def run(self, sql: str, **params: object) -> int:
        """Return the number of rows changed."""
        return self._connection.execute(sql, params).rowcount

    def insert(self, sql: str, **params: object) -> int:
        """Return the id of the new row."""
        return self._connection.execute(sql, params).lastrowid or 0

    def one(self, sql: str, **params: object) -> Row | None:
        """Return the first row. All are fetched: a statement left half-way would keep its transaction open."""
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def all(self, sql: str, **params: object) -> Sequence[Row]:
        return self._connection.execute(sql, params).fetchall()

    def _has(self, table: str) -> bool:
        return self.one("select 1 from sqlite_master where type = 'table' and name = :table", table=table) is not None
