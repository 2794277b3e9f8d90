"""The row that counts how far waiting times were shifted, and the shift itself (webhooks.md §5.9)."""

from opentill.db import ReadTx, Tx
from opentill.db.dialect import for_update
from opentill.webhooks.model import AT_ONCE


def shifted(tx: ReadTx) -> int:
    """Return how many microseconds waiting times were shifted in all."""
    row = tx.one_or_none("select shifted_us from webhook_clock where id = 1")
    return 0 if row is None else int(row["shifted_us"])


def lock(tx: Tx) -> None:
    """Let one process repair at a time."""
    tx.run("insert into webhook_clock (id, shifted_us) values (1, 0) on conflict do nothing")
    tx.all(f"select shifted_us from webhook_clock where id = 1{for_update(tx)}")


def shift(tx: Tx, by: int) -> None:
    """Move every waiting instant by so many microseconds. First tries wait for no instant and stay."""
    tx.run("update webhook_clock set shifted_us = shifted_us + :by where id = 1", by=by)
    tx.run(f"update webhook_delivery set due_at = due_at + :by where state = 0 and due_at > {AT_ONCE}", by=by)
    tx.run("update webhook_delivery set lease_until = lease_until + :by where state = 1", by=by)
    tx.run("update webhook_replay set next_at = next_at + :by where state = 0", by=by)
    tx.run(
        """
        update webhook_lane
           set open_at = case when open_at > 0 then open_at + :by else 0 end, tokens_at = tokens_at + :by,
               win_start = win_start + :by, failing_since = failing_since + :by
         where open_at > 0 or tokens_at is not null or win_start > 0 or failing_since is not null
        """,
        by=by,
    )
