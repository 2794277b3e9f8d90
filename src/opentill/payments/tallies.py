"""What each thousand of an owner's payments holds, so that narrowed lists are counted and paged in little time.

A block is what lies between two anchors. A day after its last payment a worker writes down how many payments of each
state and gateway it holds; a trigger forgets that when one of them changes.
"""

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.blocks import Block, Written, between
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.owner import Owner
from opentill.payments import anchors
from opentill.payments.anchors import SETTLED, STEP

BLOCKS_MAX: Final = 5  # in one transaction: others wait for it
DISPUTED: Final = "dispute_status in ('open', 'under_review', 'lost')"
BY_THE_CLOCK: Final = "pending"  # the one state that ends without being written down
UNCERTAIN: Final = ""  # the tally of a block that holds one of those


class Held(NamedTuple):
    """How many payments of one kind a block holds."""

    detail: str
    gateway: str | None
    disputed: int
    payments: int


def write_down(tx: Tx, *, now: Instant) -> int:
    """Count the oldest blocks nobody has counted; return how many. Safe to repeat, and at once by several workers.

    A payment is changed before its block is forgotten, and both are seen at once. So the block is locked first and
    counted by a later statement, which sees every change whose transaction held the lock. Those that began before the
    block was set did not look for it; they are over by then.

    A block that holds another number of payments than it should was set before all of them could be seen. Its anchor
    goes, with those after it, and they are set anew.
    """
    blocks = tx.all(
        f"""
        select merchant_id, mode, ordinal, payment_id from payment_anchor
         where tally is null and created_at <= :quiet and set_at <= :settled
         order by created_at limit :most{skip_locked(tx)}
        """,
        quiet=now - DAY,
        settled=now - SETTLED,
        most=BLOCKS_MAX,
    )
    for block in blocks:
        held = _held(tx, block)
        if sum(row["n"] for row in held) != STEP:
            anchors.forget(tx, block)
            continue
        kinds = [Held(row["detail"], row["gateway"], row["disputed"], row["n"]) for row in held]
        uncertain = any(kind.detail == BY_THE_CLOCK for kind in kinds)
        tx.run(
            """
            update payment_anchor set tally = :tally, oldest = :oldest, newest = :newest
             where merchant_id = :merchant_id and mode = :mode and ordinal = :ordinal
            """,
            tally=UNCERTAIN if uncertain else json.dumps(sorted(kinds, key=str)),
            oldest=min(row["oldest"] for row in held),
            newest=max(row["newest"] for row in held),
            merchant_id=block["merchant_id"],
            mode=block["mode"],
            ordinal=block["ordinal"],
        )
    return len(blocks)


def blocks(
    tx: ReadTx, *, owner: Owner, since: Instant | None, until: Instant | None, take: Callable[[Held], bool]
) -> Sequence[Block]:
    """Return the blocks that may hold payments of a span of time, newest first; *take* tells which kinds are wanted."""
    rows = tx.all(
        """
        select payment_id, oldest, newest, tally from payment_anchor
         where merchant_id = :merchant_id and mode = :mode order by payment_id desc
        """,
        **owner.columns,
    )

    def matching(tally: str) -> int | None:
        if tally == UNCERTAIN:
            return None
        return sum(held.payments for held in (Held(*kind) for kind in json.loads(tally)) if take(held))

    written = [Written(row["payment_id"], row["oldest"], row["newest"], row["tally"]) for row in rows]
    return between(written, since, until, matching)


def _held(tx: ReadTx, block: Row) -> Sequence[Row]:
    """Count the payments of a block by their kinds, with the first and the last time of each."""
    return tx.all(
        f"""
        select detail, gateway, case when {DISPUTED} then 1 else 0 end as disputed, count(*) as n,
               min(created_at) as oldest, max(created_at) as newest
          from payment
         where merchant_id = :merchant_id and mode = :mode and id <= :up_to
           and id > (select coalesce(max(payment_id), 0) from payment_anchor
                      where merchant_id = :merchant_id and mode = :mode and payment_id < :up_to)
         group by 1, 2, 3
        """,
        merchant_id=block["merchant_id"],
        mode=block["mode"],
        up_to=block["payment_id"],
    )
