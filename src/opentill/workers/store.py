"""Rows the jobs keep for themselves: which processes are alive, and what is kept only for a time."""

from opentill.db import Tx
from opentill.kernel.clock import Instant


def beat(tx: Tx, *, worker: str, now: Instant, forget: Instant) -> None:
    """Note that a process is alive, and forget those that were not seen since *forget*."""
    tx.run(
        """
        insert into worker_heartbeat (worker, started_at, seen_at) values (:worker, :now, :now)
        on conflict (worker) do update set seen_at = :now
        """,
        worker=worker,
        now=now,
    )
    tx.run("delete from worker_heartbeat where seen_at < :forget", forget=forget)


def purge_callbacks(tx: Tx, *, before: Instant, rows_max: int) -> int:
    """Remove what providers sent until *before*, the oldest first; return how many."""
    return tx.run(
        """
        delete from provider_callback
         where id in (select id from provider_callback where received_at <= :before order by id limit :most)
        """,
        before=before,
        most=rows_max,
    )


def purge_hints(tx: Tx, *, before: Instant, rows_max: int) -> int:
    """Remove hints that were dealt with and came before an instant; return how many."""
    return tx.run(
        """
        delete from pix_hint
         where id in (select id from pix_hint where due_at is null and created_at < :before
                       order by created_at limit :rows_max)
           and due_at is null
        """,
        before=before,
        rows_max=rows_max,
    )
