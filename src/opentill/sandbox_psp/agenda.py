"""What is going to happen, and when. It is in the books, so it survives a restart."""

from typing import Any

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import render


def schedule(
    frame: Frame, account_id: int, kind: str, detail: dict[str, Any], *, delay_us: int = 0, key: str = ""
) -> None:
    """Have something happen after *delay_us*: `pay`, `remove` or `notify`."""
    now = frame.now()
    frame.store.run(
        """
        insert into effect (account_id, kind, key, detail, due_at, created_at)
        values (:account_id, :kind, :key, :detail, :due_at, :now)
        """,
        account_id=account_id,
        kind=kind,
        key=key,
        detail=render(detail),
        due_at=now + delay_us,
        now=now,
    )
