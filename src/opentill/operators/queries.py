"""The audit log and the sign-in log, for screens. Read-only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant

PAGE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the audit log, with the name of whoever acted."""

    id: int
    seq: int | None
    at: Instant
    actor: str
    who: str  # the operator's name, else what the log says
    origin: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    reason: str
    chain: str | None


def entries(
    tx: ReadTx,
    *,
    limit: int,
    before: int | None = None,
    merchant_id: int | None = None,
    action: str | None = None,
    actor: str | None = None,
    subject: str | None = None,
) -> Sequence[Entry]:
    """Return entries, newest first, of one merchant where one is named."""
    given = {
        "before": ("a.id < :before", before),
        "merchant_id": ("a.merchant_id = :merchant_id", merchant_id),
        "action": ("a.action = :action", action),
        "actor": ("a.actor = :actor", actor),
        "subject": ("a.subject = :subject", subject),
    }
    chosen = {name: value for name, (_, value) in given.items() if value is not None}
    where = " and ".join(clause for name, (clause, _) in given.items() if name in chosen) or "1 = 1"
    rows = tx.all(
        f"""
        select a.*, o.name as operator_name
          from audit_entry a left join operator o on a.actor = 'operator:' || cast(o.id as text)
         where {where}
         order by a.id desc limit :limit
        """,
        limit=min(limit, PAGE_MAX),
        **chosen,
    )
    return [_entry(row) for row in rows]


def name_of(tx: ReadTx, actor: str | None) -> str:
    """Return the name of an operator who acted; of anybody else what the log says; empty for nobody."""
    kind, _, number = (actor or "").partition(":")
    if kind != "operator" or not number.isdigit():
        return actor or ""
    row = tx.one_or_none("select name from operator where id = :id", id=int(number))
    return row["name"] if row else actor or ""


def attempts(tx: ReadTx, *, limit: int, before: int | None = None) -> Sequence[Row]:
    """Return the sign-in log, newest first."""
    return tx.all(
        """
        select a.id, a.at, a.origin, a.agent, a.outcome, o.name, o.email
          from sign_in_attempt a left join operator o on o.id = a.operator_id
         where a.id < :before order by a.id desc limit :limit
        """,
        before=before if before is not None else 2**62,
        limit=min(limit, PAGE_MAX),
    )


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        seq=row["seq"],
        at=row["at"],
        actor=row["actor"],
        who=row["operator_name"] or row["actor"],
        origin=row["origin"],
        action=row["action"],
        subject=row["subject"],
        detail=json.loads(row["detail"]),
        reason=row["reason"],
        chain=row["chain"],
    )
