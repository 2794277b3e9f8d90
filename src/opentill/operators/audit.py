"""The audit log: who changed what, when, from where and why.

The entries form a chain. Each has the next number and a value that covers its own words and the value before it, and
one row apart from them holds the last number and value: what is changed, dropped, inserted or moved later does not
fit any more, and `opentill verify` names it.
"""

import hashlib
import json
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.operators.model import Change

BEGINNING: Final = "0" * 64


def at_console(action: str, subject: str, **detail: object) -> Change:
    """Return what somebody did at the command line of this machine."""
    return Change("console", "command line", action, subject, detail)


def write(tx: Tx, change: Change, *, now: Instant) -> None:
    """Add an entry in the transaction of the change itself. Other entries wait until it ends, so write it late."""
    tx.run(
        "insert into audit_head (id, seq, chain) values (1, 0, :beginning) on conflict (id) do nothing",
        beginning=BEGINNING,
    )
    [head] = tx.all(f"select seq, chain from audit_head where id = 1{for_update(tx)}")
    detail = json.dumps(change.detail, ensure_ascii=False, sort_keys=True)
    words = (change.actor, change.origin, change.action, change.subject, detail, change.reason)
    seq = head["seq"] + 1
    chain = link(head["chain"], seq, now, words, change.merchant_id)
    tx.run(
        """
        insert into audit_entry (at, actor, origin, action, subject, detail, reason, merchant_id, seq, chain)
        values (:at, :actor, :origin, :action, :subject, :detail, :reason, :merchant_id, :seq, :chain)
        """,
        at=now,
        actor=change.actor,
        origin=change.origin,
        action=change.action,
        subject=change.subject,
        detail=detail,
        reason=change.reason,
        merchant_id=change.merchant_id,
        seq=seq,
        chain=chain,
    )
    tx.run("update audit_head set seq = :seq, chain = :chain where id = 1", seq=seq, chain=chain)


def length(tx: ReadTx) -> int:
    """Return how many entries the chain has."""
    row = tx.one_or_none("select seq from audit_head where id = 1")
    return int(row["seq"]) if row else 0


def link(before: str, seq: int, at: int, words: tuple[str, ...], merchant_id: int | None) -> str:
    """Return the value of an entry, 64 hex, given the value *before* it."""
    covered = json.dumps([before, seq, at, *words, merchant_id], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(covered.encode()).hexdigest()
