"""Telling receivers what arrived, and doing what is on the agenda (pix-rail.md §11.4)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.kernel.clock import SECOND
from opentill.sandbox_psp.charges import remove_by_bank
from opentill.sandbox_psp.frame import MILLISECOND, Frame
from opentill.sandbox_psp.http import render
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import pay, receipt_document
from opentill.sandbox_psp.store import Row

REPEATS_S: Final = (1, 5, 30, 120)  # after an answer that is not 2xx
LEASE_S: Final = 30  # while one process sends, no other does; past it, the first is taken for dead
GROUP_MAX: Final = 10  # receipts
CLAIM_MAX: Final = 200  # notifications at once
GROUP_US: Final = 100 * MILLISECOND
SUFFIX: Final = "/pix"

Sender = Callable[[str, bytes], Awaitable[int]]
"""Sends a JSON body to a URL and returns the status of the answer, 0 when there was none."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification, ready to send."""

    effects: tuple[int, ...]
    tries: int
    url: str
    body: bytes


def next_due_at(frame: Frame) -> int | None:
    """Return when the agenda has something to do."""
    row = frame.store.one("select min(due_at) as due_at from effect")
    return row["due_at"] if row else None


def is_pending(frame: Frame, txid: str) -> bool:
    """Tell whether a payment of a charge, or its notification, is still on the agenda."""
    row = frame.store.one(
        """
        select 1 from effect
         where kind = 'pay' and json_extract(detail, '$.order.txid') = :txid
            or kind = 'notify'
               and json_extract(detail, '$.receipt_id') in (select id from receipt where txid = :txid)
         limit 1
        """,
        txid=txid,
    )
    return row is not None


def carry_out_due(frame: Frame) -> None:
    """Carry out the payments and removals that are due."""
    due = frame.store.all(
        "select * from effect where due_at <= :now and kind <> 'notify' order by due_at, id", now=frame.now()
    )
    for effect in due:
        frame.store.run("delete from effect where id = :id", id=effect["id"])
        detail = json.loads(effect["detail"])
        if effect["kind"] == "remove":
            remove_by_bank(frame, detail["charge_id"])
        else:
            _pay(frame, effect["account_id"], detail)


def claim_due(frame: Frame) -> list[Notice]:
    """Take the notifications that are due, grouped by key; no other process sends them for half a minute."""
    due = frame.store.all(
        "select * from effect where due_at <= :now and kind = 'notify' order by id limit :most",
        now=frame.now(),
        most=CLAIM_MAX,
    )
    return [notice for group in _grouped(due) if (notice := _notice(frame, group)) is not None]


def conclude(frame: Frame, notice: Notice, status: int) -> None:
    """Write down how a notification was answered: done, or again later, or given up."""
    delivered = 200 <= status <= 299
    for effect_id in notice.effects:
        if delivered or notice.tries >= len(REPEATS_S):
            frame.store.run("delete from effect where id = :id", id=effect_id)
        else:
            frame.store.run(
                "update effect set due_at = :due_at, tries = :tries where id = :id",
                due_at=frame.now() + REPEATS_S[notice.tries] * SECOND,
                tries=notice.tries + 1,
                id=effect_id,
            )


def _pay(frame: Frame, account_id: int, detail: dict[str, dict[str, object]]) -> None:
    try:
        pay(frame, detail["order"], account_id)
    except Problem:
        # By now the charge was paid, removed or has expired: then nobody pays.
        return


def _grouped(due: Sequence[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for effect in due:
        for group in groups:
            first = group[0]
            near = effect["created_at"] - first["created_at"] <= GROUP_US
            same = (effect["key"], effect["tries"]) == (first["key"], first["tries"])
            # A copy of a notification goes out on its own.
            fresh = all(effect["detail"] != other["detail"] for other in group)
            if near and same and fresh and len(group) < GROUP_MAX:
                group.append(effect)
                break
        else:
            groups.append([effect])
    return groups


def _notice(frame: Frame, group: list[Row]) -> Notice | None:
    webhook = frame.store.one("select url from webhook where key = :key", key=group[0]["key"])
    if webhook is None:
        for effect in group:
            frame.store.run("delete from effect where id = :id", id=effect["id"])
        return None
    documents = []
    for effect in group:
        frame.store.run(
            "update effect set due_at = :due_at where id = :id",
            due_at=frame.now() + LEASE_S * SECOND,
            id=effect["id"],
        )
        detail = json.loads(effect["detail"])
        receipt = frame.store.one("select * from receipt where id = :id", id=detail["receipt_id"])
        if receipt is not None:
            documents.append(receipt_document(receipt, detail["off"]))
    body = render({"pix": documents}).encode()
    return Notice(tuple(row["id"] for row in group), group[0]["tries"], webhook["url"] + SUFFIX, body)
