"""The audit log: who changed what, when, from where."""

import json

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.operators.model import Change


def at_console(action: str, subject: str) -> Change:
    """Return what somebody did at the command line of this machine."""
    return Change("console", "command line", action, subject)


def write(tx: Tx, change: Change, *, now: Instant) -> None:
    """Add a line in the transaction of the change itself."""
    tx.run(
        """
        insert into audit_entry (at, actor, origin, action, subject, detail)
        values (:at, :actor, :origin, :action, :subject, :detail)
        """,
        at=now,
        actor=change.actor,
        origin=change.origin,
        action=change.action,
        subject=change.subject,
        detail=json.dumps(change.detail, ensure_ascii=False),
    )
