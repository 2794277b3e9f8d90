"""The data set of bars.md §4.2: a million payments of twenty merchants over two years, with their events.

Made by statements that run inside the database, from the number of each payment alone, so that two runs make the same.
The first merchant has three of ten payments; the others share the rest evenly. No payment is open, so that workers
find nothing to do. What is not made yet: journals and postings (P20, P21).
"""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import psycopg

from bench.product import Install, Merchant, ProductFailed, serving

PAYMENTS = 1_000_000
MERCHANTS = 20
STEP_US = 63_000_000  # between two payments: two years in all
SINCE_US = 1_700_000_000_000_000
CHUNK = 50_000
BLOCKS_S_MAX = 600.0
KEPT = {"OPENTILL_WEBHOOKS_EVENT_DAYS": "3650"}  # for whoever serves the data set: its events are years old

PAYMENT = """
with recursive n(i) as (select {first} union all select i + 1 from n where i < {last})
insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, fee_units, order_id,
                     gateway, created_at, updated_at, expires_at, completed_at)
select '00000000-0000-7000-8000-' || substr(cast(1000000000000 + i as text), 2),
       'txn_' || substr(cast(10000000000000000 + i as text), 2),
       '000000000000000000000000000000000000000000000000' || substr(cast(10000000000000000 + i as text), 2),
       m.id, m.mode, s.word, s.word, 10000 * (1 + i % 997), 'BRL', 0, 'ORD-' || cast(i as text),
       case when i % 3 = 0 then 'pix' else 'sandbox' end,
       at.at, at.at, at.at + 1800000000, case when s.word = 'completed' then at.at + 60000000 end
  from n
  join (select i as number, {since} + cast(i as bigint) * {step} as at from n) at on at.number = n.i
  join merchant m on m.id = case when i % 10 < 3 then 1 else 2 + i % {others} end
  join (select 0 as share, 'expired' as word union all select 1, 'failed' union all select 2, 'cancelled'
        union all select 3, 'completed') s on s.share = case when i % 20 < 3 then i % 20 else 3 end
 order by i
"""
EVENT = """
insert into event (id, merchant_id, mode, type, merchant_type, object_type, object_id, occurred_at, doc, plan_state)
select 'evt_' || substr(cast(1000000000000 + p.id as text), 2) || '00000000000' || k.digit,
       p.merchant_id, p.mode, 'payment.' || k.word, 'payment.' || k.word, 'payment', p.uuid, p.created_at, {doc}, 1
  from payment p join merchant m on m.id = p.merchant_id
  join (select 'pending' as word, 1 as digit union all select 'processing', 2 union all select 'completed', 3) k
    on k.digit = 1 or (k.digit = 2 and p.id % 2 = 0) or (k.digit = 3 and p.status = 'completed')
 where p.id > {after} and p.id <= {up_to}
"""
# What the product records of such payments. In braces what the database fills in: after = all of a value.
DOCUMENT = {
    "merchant": {"uuid": "{m.uuid}", "account_id": "{=10001 + 2 * (m.id - 1) + m.mode}"},
    "payment": {
        "uuid": "{p.uuid}",
        "reference": "{p.reference}",
        "order_id": "{p.order_id}",
        "gateway_trx_id": "",
        "amount_units": "{=p.units}",
        "currency": "BRL",
        "exponent": 2,
        "fee_units": 0,
        "net_units": "{=case k.digit when 3 then p.units end}",
        "refunded_units": 0,
        "charge": None,
        "gateway": "{p.gateway}",
        "gateway_type": "api",
        "method": "api",
        "status": "{k.word}",
        "late": False,
        "disputed": False,
        "customer": {"name": "", "email": "", "phone": ""},
        "metadata": {},
        "paid_at": "{=case k.digit when 3 then p.completed_at end}",
        "created_at": "{=p.created_at}",
    },
}


def build(install: Install, payments: int = PAYMENTS, since_us: int = SINCE_US) -> Sequence[Merchant]:
    """Fill a new install with payments made from an instant on; return its merchants, the busiest first."""
    merchants = install.add_merchants(MERCHANTS)
    with closing(_open(install)) as database:
        run = _runner(database)
        for first in range(1, payments + 1, CHUNK):
            last = min(first + CHUNK - 1, payments)
            run(PAYMENT.format(first=first, last=last, since=since_us, step=STEP_US, others=MERCHANTS - 1))
        for after in range(0, payments, CHUNK):
            run(EVENT.format(after=after, up_to=after + CHUNK, doc=_document(install)))
        run("analyze" if install.embedded else "vacuum analyze payment, event")
    _set_blocks(install, payments)
    _count_blocks(install)
    return merchants


def _document(install: Install) -> str:
    """Return the SQL of an event's document as bytes."""
    text = json.dumps(DOCUMENT, separators=(",", ":"))
    text = re.sub(r'"\{=([^"]*)\}"', r"' || coalesce(cast(\1 as text), 'null') || '", text)
    text = re.sub(r"(?<=\")\{([^\"]*)\}(?=\")", r"' || \1 || '", text)
    return f"cast('{text}' as blob)" if install.embedded else f"convert_to('{text}', 'UTF8')"


def _open(install: Install) -> sqlite3.Connection | psycopg.Connection:
    if install.embedded:
        return sqlite3.connect(install.data / "opentill.db", isolation_level=None)
    return psycopg.connect(install.database_url, autocommit=True)


def _runner(database: sqlite3.Connection | psycopg.Connection) -> Callable[[str], object]:
    return lambda sql: database.execute(sql)  # type: ignore[arg-type,call-overload]


def _set_blocks(install: Install, payments: int) -> None:
    """Let the product's worker set the blocks of its lists."""
    due = payments * 3 // 10 // 1_000
    events = "select count(*) / 1000 from event where merchant_id = 1"
    with serving(install, **KEPT), closing(_open(install)) as database:
        _await(
            lambda: (
                _one(database, "select count(*) from payment_anchor where merchant_id = 1") >= due
                and _one(database, "select count(*) from event_block where merchant_id = 1") >= _one(database, events)
            )
        )


def _count_blocks(install: Install) -> None:
    """Let the worker count them; it would wait some minutes for those who may not have seen that they were set."""
    with closing(_open(install)) as database:
        for table in ("payment_anchor", "event_block"):
            _runner(database)(f"update {table} set set_at = 0")
    yesterday = time.time_ns() // 1_000 - 86_400_000_000
    with serving(install, **KEPT), closing(_open(install)) as database:
        _await(
            lambda: (
                not _one(database, "select count(*) from event_block where tally is null")
                and not _one(
                    database, f"select count(*) from payment_anchor where tally is null and created_at < {yesterday}"
                )
            )
        )


def _one(database: sqlite3.Connection | psycopg.Connection, sql: str) -> int:
    (found,) = database.execute(sql).fetchone() or (0,)  # type: ignore[arg-type,call-overload]
    return int(found)


def _await(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + BLOCKS_S_MAX
    while not done():
        if time.monotonic() > ends:
            raise ProductFailed("the blocks of the data set were not set and counted")
        time.sleep(0.5)
