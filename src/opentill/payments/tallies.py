"""What each thousand of an owner's payments holds, so that narrowed lists are counted and paged in little time.

A block is what lies between two anchors. A day after its last payment a worker writes down how many payments of each
state and gateway it holds; a trigger forgets that when one of them changes. A list adds up what is written down, reads
only the blocks that can hold what it shows, and counts the others one by one.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.owner import Owner
from opentill.payments.anchors import ASTRAY, START

BLOCKS_MAX: Final = 5  # in one transaction: others wait for it
END: Final = 2**62
DISPUTED: Final = "dispute_status in ('open', 'under_review', 'lost')"
BY_THE_CLOCK: Final = "pending"  # the one state that ends without being written down


class Held(NamedTuple):
    """How many payments of one kind a block holds."""

    detail: str
    gateway: str | None
    disputed: int
    payments: int


@dataclass(frozen=True, slots=True)
class Block:
    """Ids above the first and up to the second; how many of them match, or None where that is not known."""

    above: int
    up_to: int
    matching: int | None


def write_down(tx: Tx, *, now: Instant) -> int:
    """Count the oldest blocks nobody has counted; return how many. Safe to repeat, and at once by several workers.

    A payment is changed before its block is forgotten, and both are seen at once. So the block is locked first and
    counted by a later statement, which sees every change whose transaction held the lock.
    """
    blocks = tx.all(
        f"""
        select merchant_id, mode, ordinal, payment_id from payment_anchor
         where tally is null and created_at <= :settled order by created_at limit :most{skip_locked(tx)}
        """,
        settled=now - DAY,
        most=BLOCKS_MAX,
    )
    for block in blocks:
        tx.run(
            """
            update payment_anchor set tally = :tally
             where merchant_id = :merchant_id and mode = :mode and ordinal = :ordinal
            """,
            tally=_counted(tx, block),
            merchant_id=block["merchant_id"],
            mode=block["mode"],
            ordinal=block["ordinal"],
        )
    return len(blocks)


def blocks(
    tx: ReadTx, *, owner: Owner, since: Instant | None, until: Instant | None, matches: Callable[[Held], bool]
) -> Sequence[Block]:
    """Return the blocks that may hold payments of a span of time, newest first; neighbours nobody counted are one.

    *matches* tells whether a kind of payment is wanted.
    """
    rows = tx.all(
        """
        select payment_id, created_at, tally from payment_anchor
         where merchant_id = :merchant_id and mode = :mode order by payment_id desc
        """,
        **owner.columns,
    )
    found: list[Block] = []
    for last, before in zip([None, *rows], [*rows, None], strict=True):
        if until is not None and before is not None and before["created_at"] > until + ASTRAY:
            continue
        if since is not None and last is not None and last["created_at"] < since - ASTRAY:
            break
        above = before["payment_id"] if before is not None else START.payment_id
        up_to = last["payment_id"] if last is not None else END
        counted = last is not None and last["tally"] and _inside(last, before, since, until)
        matching = sum(held.payments for held in _read(last["tally"]) if matches(held)) if last and counted else None
        if found and matching is None and found[-1].matching is None and found[-1].above == up_to:
            found[-1] = Block(above, found[-1].up_to, None)
        else:
            found.append(Block(above, up_to, matching))
    return found


def reach(
    found: Sequence[Block], count: Callable[[Block], int], *, offset: int, limit: int
) -> tuple[Sequence[Block], int]:
    """Return what a page is read from, newest first, and how many payments to skip in the first of it."""
    wanted: list[Block] = []
    have = -offset
    for block in found:
        matching = count(block) if block.matching is None and have < 0 else block.matching
        if matching == 0:
            continue
        if not wanted and matching is not None and have + matching <= 0:
            have += matching
            continue
        if not wanted:
            offset, have = max(-have, 0), min(have, 0)
        if wanted and wanted[-1].above == block.up_to:
            wanted[-1] = Block(block.above, wanted[-1].up_to, None)
        else:
            wanted.append(block)
        have += matching or 0
        if have >= limit:
            break
    return wanted, offset if wanted else 0


def _inside(last: Row, before: Row | None, since: Instant | None, until: Instant | None) -> bool:
    """Tell whether a block lies within a span of time, whatever its ids and times disagree by."""
    from_since = since is None or (before is not None and before["created_at"] >= since + ASTRAY)
    return from_since and (until is None or last["created_at"] < until - ASTRAY)


def _counted(tx: ReadTx, block: Row) -> str:
    """Count a block; nothing where it holds a payment whose state the clock ends."""
    place = {name: block[name] for name in ("merchant_id", "mode")}
    before = tx.one_or_none(
        """
        select coalesce(max(payment_id), 0) as id from payment_anchor
         where merchant_id = :merchant_id and mode = :mode and payment_id < :up_to
        """,
        up_to=block["payment_id"],
        **place,
    )
    rows = tx.all(
        f"""
        select detail, gateway, case when {DISPUTED} then 1 else 0 end as disputed, count(*) as n from payment
         where merchant_id = :merchant_id and mode = :mode and id > :above and id <= :up_to group by 1, 2, 3
        """,
        above=before["id"] if before else START.payment_id,
        up_to=block["payment_id"],
        **place,
    )
    kinds = [Held(row["detail"], row["gateway"], row["disputed"], row["n"]) for row in rows]
    return "" if any(kind.detail == BY_THE_CLOCK for kind in kinds) else json.dumps(sorted(kinds, key=str))


def _read(tally: str) -> Sequence[Held]:
    return [Held(*kind) for kind in json.loads(tally)]
