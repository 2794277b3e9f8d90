"""What is going to happen, and when. It is in the books, so it survives a restart."""

from typing import Any, Final

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import render

HELD_BACK: Final = 2**60  # microseconds: until the account's next notification has gone out


def schedule(
    frame: Frame, account_id: int, kind: str, detail: dict[str, Any], *, delay_us: int = 0, key: str = ""
) -> None:
    """Have something happen after *delay_us*. Kinds that begin with `notify` tell the account's owner something."""
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
    frame.changed.set()


def release_held_back(frame: Frame, account_id: int) -> None:
    """Have the notifications of an account that were held back go out now."""
    frame.store.run(
        "update effect set due_at = :now where account_id = :account_id and due_at >= :held",
        account_id=account_id,
        now=frame.now(),
        held=HELD_BACK,
    )
    frame.changed.set()
