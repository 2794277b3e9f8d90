"""What each thousand of an owner's events holds, so that the list of events is counted and paged in little time.

Events never change, but they are removed when their time is over; what is known of their block is forgotten then.
"""

import json
from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.blocks import ROWS, Block, Written, between
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import MINUTE, Instant
from opentill.kernel.owner import Owner

SETTLED: Final = 5 * MINUTE  # after a block was set: whoever did not see it then is done
OWNERS_MAX: Final = 500  # in one transaction
BLOCKS_MAX: Final = 5


def extend(tx: Tx, *, now: Instant, after: int = 0) -> tuple[int, int | None]:
    """Set the next block of each owner who is due one; return how many, and the merchant to go on after, or None.

    Safe to repeat, and at once by several workers.
    """
    due = tx.all(
        f"""
        select m.id as merchant_id, m.mode,
               (select e.seq from event e
                 where e.merchant_id = m.id and e.mode = m.mode
                   and e.seq > coalesce((select max(b.up_to) from event_block b
                                          where b.merchant_id = m.id and b.mode = m.mode), 0)
                 order by e.seq limit 1 offset {ROWS - 1}) as up_to
          from (select id, mode from merchant where id > :after order by id limit :most) m
         order by m.id
        """,
        after=after,
        most=OWNERS_MAX,
    )
    made = sum(_set(tx, row, now) for row in due if row["up_to"] is not None)
    return made, due[-1]["merchant_id"] if len(due) == OWNERS_MAX else None


def write_down(tx: Tx, *, now: Instant) -> int:
    """Count the oldest blocks nobody has counted; return how many. Safe to repeat, and at once by several workers.

    A block is locked first and counted by a later statement, which sees every removal whose transaction held the lock.
    """
    blocks = tx.all(
        f"""
        select merchant_id, mode, up_to from event_block
         where tally is null and set_at <= :settled order by set_at, up_to limit :most{skip_locked(tx)}
        """,
        settled=now - SETTLED,
        most=BLOCKS_MAX,
    )
    for block in blocks:
        _count(tx, block)
    return len(blocks)


def blocks(
    tx: ReadTx, *, owner: Owner, since: Instant | None, until: Instant | None, name: str | None
) -> Sequence[Block]:
    """Return the blocks that may hold events of a span of time, newest first; *name* is that of the wanted ones."""
    rows = tx.all(
        """
        select up_to, oldest, newest, tally from event_block
         where merchant_id = :merchant_id and mode = :mode order by up_to desc
        """,
        **owner.columns,
    )

    def matching(tally: str) -> int:
        held: dict[str, int] = json.loads(tally)
        return sum(held.values()) if name is None else held.get(name, 0)

    written = [Written(row["up_to"], row["oldest"], row["newest"], row["tally"]) for row in rows]
    return between(written, since, until, matching)


def _set(tx: Tx, row: Row, now: Instant) -> int:
    return tx.run(
        """
        insert into event_block (merchant_id, mode, up_to, set_at) values (:merchant_id, :mode, :up_to, :now)
        on conflict (merchant_id, mode, up_to) do nothing
        """,
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        up_to=row["up_to"],
        now=now,
    )


def _count(tx: Tx, block: Row) -> None:
    """Write down how many events of each name a block holds; one that is empty goes."""
    place = {column: block[column] for column in ("merchant_id", "mode", "up_to")}
    held = tx.all(
        """
        select merchant_type as name, count(*) as n, min(occurred_at) as oldest, max(occurred_at) as newest from event
         where merchant_id = :merchant_id and mode = :mode and seq <= :up_to
           and seq > (select coalesce(max(up_to), 0) from event_block
                       where merchant_id = :merchant_id and mode = :mode and up_to < :up_to)
         group by 1
        """,
        **place,
    )
    here = "where merchant_id = :merchant_id and mode = :mode and up_to = :up_to"
    if not held:
        tx.run(f"delete from event_block {here}", **place)
        return
    tx.run(
        f"update event_block set tally = :tally, oldest = :oldest, newest = :newest {here}",
        tally=json.dumps({row["name"]: row["n"] for row in held if row["name"] is not None}, sort_keys=True),
        oldest=min(row["oldest"] for row in held),
        newest=max(row["newest"] for row in held),
        **place,
    )
