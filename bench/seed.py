"""The data set of bars.md §4.2: a million payments of twenty merchants over two years, with their events.

Made by statements that run inside the database, from the number of each payment alone, so that two runs make the same.
The first merchant has three of ten payments; the others share the rest evenly. No payment is open, so that workers
find nothing to do. What is not made yet: journals and postings (P20, P21).
"""

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
ANCHORS_S_MAX = 600.0

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
       p.merchant_id, p.mode, k.name, k.name, 'payment', p.uuid, p.created_at, {doc}, 1
  from payment p
  join (select 'payment.pending' as name, '1' as digit union all select 'payment.processing', '2'
        union all select 'payment.completed', '3') k
    on k.digit = '1' or (k.digit = '2' and p.id % 2 = 0) or (k.digit = '3' and p.status = 'completed')
 where p.id > {after} and p.id <= {up_to}
"""


def build(install: Install, payments: int = PAYMENTS, since_us: int = SINCE_US) -> Sequence[Merchant]:
    """Fill a new install with payments made from an instant on; return its merchants, the busiest first."""
    merchants = install.add_merchants(MERCHANTS)
    with closing(_open(install)) as database:
        run = _runner(database)
        for first in range(1, payments + 1, CHUNK):
            last = min(first + CHUNK - 1, payments)
            run(PAYMENT.format(first=first, last=last, since=since_us, step=STEP_US, others=MERCHANTS - 1))
        for after in range(0, payments, CHUNK):
            doc = "x'7b7d'" if install.embedded else "'\\x7b7d'::bytea"
            run(EVENT.format(after=after, up_to=after + CHUNK, doc=doc))
        run("analyze" if install.embedded else "vacuum analyze payment")
    _await_anchors(install, payments)
    return merchants


def _open(install: Install) -> sqlite3.Connection | psycopg.Connection:
    if install.embedded:
        return sqlite3.connect(install.data / "opentill.db", isolation_level=None)
    return psycopg.connect(install.database_url, autocommit=True)


def _runner(database: sqlite3.Connection | psycopg.Connection) -> Callable[[str], object]:
    return lambda sql: database.execute(sql)  # type: ignore[arg-type,call-overload]


def _await_anchors(install: Install, payments: int) -> None:
    """Let the product's worker set the anchors of its lists, and count what is between them."""
    due = (payments * 3 // 10) // 1_000
    uncounted = "select count(*) from payment_anchor where tally is null and created_at < {yesterday}"
    ends = time.monotonic() + ANCHORS_S_MAX
    with serving(install), closing(_open(install)) as database:
        while time.monotonic() < ends:
            sql = "select count(*) from payment_anchor where merchant_id = 1"
            (found,) = database.execute(sql).fetchone() or (0,)
            yesterday = time.time_ns() // 1_000 - 86_400_000_000
            (left,) = database.execute(uncounted.format(yesterday=yesterday)).fetchone() or (0,)
            if found >= due and not left:
                return
            time.sleep(0.5)
    raise ProductFailed("the anchors of the data set were not set")
