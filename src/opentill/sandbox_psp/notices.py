"""Telling the owners of accounts what happened on them (pix-rail.md §11.4, §11.5)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.sandbox_psp.agenda import release_held_back
from opentill.sandbox_psp.announcing import INFRACTIONS, PAYOUTS, RECEIPTS
from opentill.sandbox_psp.frame import MILLISECOND, Frame
from opentill.sandbox_psp.http import render
from opentill.sandbox_psp.infractions import infraction_document
from opentill.sandbox_psp.payouts import document as payout_document
from opentill.sandbox_psp.receipts import complete, receipt_document
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
    account_id: int
    tries: int
    url: str
    body: bytes


def next_due_at(frame: Frame) -> int | None:
    """Return when the agenda has something to do."""
    row = frame.store.one("select min(due_at) as due_at from effect")
    return row["due_at"] if row else None


def is_pending(frame: Frame, name: str) -> bool:
    """Tell whether a payment of a charge or a payout, or its notification, is still on the agenda."""
    row = frame.store.one(
        """
        select 1 from effect
         where kind = 'pay' and json_extract(detail, '$.order.txid') = :name
            or kind = 'notify'
               and json_extract(detail, '$.receipt_id') in (select id from receipt where txid = :name)
            or kind = 'settle payout' and json_extract(detail, '$.id') in (select id from payout where ref = :name)
            or kind = 'notify payout'
               and json_extract(detail, '$.payout_id') in (select id from payout where ref = :name)
         limit 1
        """,
        name=name,
    )
    return row is not None


def claim_due(frame: Frame) -> list[Notice]:
    """Take the notifications that are due, receipts grouped by key; no other process sends them for half a minute."""
    due = frame.store.all(
        "select * from effect where due_at <= :now and kind like 'notify%' order by id limit :most",
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
    release_held_back(frame, notice.account_id)


def _grouped(due: Sequence[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for effect in due:
        for group in groups:
            first = group[0]
            near = effect["created_at"] - first["created_at"] <= GROUP_US
            same = all(effect[name] == first[name] for name in ("kind", "key", "tries"))
            # A copy of a notification goes out on its own.
            fresh = all(effect["detail"] != other["detail"] for other in group)
            if effect["kind"] == RECEIPTS and near and same and fresh and len(group) < GROUP_MAX:
                group.append(effect)
                break
        else:
            groups.append([effect])
    return groups


def _notice(frame: Frame, group: list[Row]) -> Notice | None:
    first = group[0]
    url = _url(frame, first)
    if url is None:
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
        documents += _documents(frame, effect["kind"], json.loads(effect["detail"]))
    body = render({_MEMBERS[first["kind"]]: documents}).encode()
    return Notice(tuple(row["id"] for row in group), first["account_id"], first["tries"], url, body)


def _url(frame: Frame, effect: Row) -> str | None:
    """Return where to tell it: at the key's address; what has no key, at the newest address of the account."""
    found = frame.store.one(
        """
        select url from webhook where key = :key or (:key = '' and account_id = :account_id)
         order by created_at desc, key limit 1
        """,
        key=effect["key"],
        account_id=effect["account_id"],
    )
    if found is None:
        return None
    return str(found["url"]) + (SUFFIX if effect["kind"] == RECEIPTS else "")


def _documents(frame: Frame, kind: str, detail: dict[str, Any]) -> list[dict[str, Any]]:
    if kind == RECEIPTS:
        rows = frame.store.all("select * from receipt where id = :id", id=detail["receipt_id"])
        shown = complete if detail.get("with_returns") else _bare
        return [shown(frame, row, detail["off"]) for row in rows]
    if kind == PAYOUTS:
        rows = frame.store.all("select * from payout where id = :id", id=detail["payout_id"])
        return [payout_document(frame, row, detail["off"]) for row in rows]
    rows = frame.store.all("select * from infraction where id = :id", id=detail["infraction_id"])
    return [infraction_document(frame, row) for row in rows]


def _bare(_frame: Frame, row: Row, off: int) -> dict[str, Any]:
    return receipt_document(row, off)


_MEMBERS: Final = {RECEIPTS: "pix", PAYOUTS: "envios", INFRACTIONS: "infracoes"}
