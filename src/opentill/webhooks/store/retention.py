"""Rows whose time is over: found in order, a bounded number at a time (webhooks.md §9.3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, numbers
from opentill.kernel.clock import Instant

RETAINER_TURN: Final = 7_301_003  # the advisory lock of the one process that removes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is left of purged events: a range, how many, and a value chained over all of them and those before."""

    first_seq: int
    last_seq: int
    events: int
    chain: str
    seal: str
    purged_at: Instant


def take_turn(tx: Tx) -> bool:
    """Be the one who removes, until the commit, unless somebody else is. SQLite has one writer anyway."""
    if tx.dialect != "postgres":
        return True
    row = tx.one_or_none("select pg_try_advisory_xact_lock(:turn) as mine", turn=RETAINER_TURN)
    return row is not None and bool(row["mine"])


# Attempts.


def delete_attempts(tx: Tx, *, before: Instant, most: int) -> int:
    """Delete the oldest attempts made before an instant; return how many. PostgreSQL drops whole days instead."""
    return tx.run(
        """
        delete from webhook_attempt
         where id in (select id from webhook_attempt order by id limit :most) and started_at < :before
        """,
        before=before,
        most=most,
    )


def give_back_pages(tx: Tx, pages: int) -> None:
    """Give free pages of an SQLite file back to the disk."""
    if tx.dialect == "sqlite":
        tx.all(f"pragma incremental_vacuum({pages})")


# Payloads.


def payloads_after(tx: ReadTx, event_seq: int, most: int) -> list[Row]:
    """Return the events that have stored payloads, beyond one, with the time of each."""
    return list(
        tx.all(
            """
            select distinct p.event_seq, coalesce(e.occurred_at, 0) as occurred_at
              from webhook_payload p left join event e on e.seq = p.event_seq
             where p.event_seq > :event_seq
             order by p.event_seq limit :most
            """,
            event_seq=event_seq,
            most=most,
        )
    )


def delete_payloads(tx: Tx, event_seqs: Iterable[int], *, before: Instant) -> int:
    """Delete the payloads of events whose last delivery finished before an instant; return how many."""
    return tx.run(
        f"""
        delete from webhook_payload
         where event_seq {among(tx, "seqs")}
           and not exists (select 1 from webhook_delivery d
                            where d.event_seq = webhook_payload.event_seq
                              and (d.state in (0, 1, 4) or coalesce(d.finished_at, :before) >= :before))
        """,
        seqs=numbers(tx, event_seqs),
        before=before,
    )


# Events.


def events_after(tx: ReadTx, seq: int, most: int, *, tests: bool) -> list[Row]:
    """Return planned events beyond one, in order; *tests* returns those of tests only."""
    only = "audience = 2" if tests else "plan_state = 1"
    return list(
        tx.all(
            f"select seq, occurred_at from event where {only} and seq > :seq order by seq limit :most",
            seq=seq,
            most=most,
        )
    )


def unfinished(tx: ReadTx, event_seqs: Iterable[int]) -> set[int]:
    """Return those events that still have deliveries due, sending or held."""
    found = tx.all(
        f"""
        select distinct event_seq from webhook_delivery
         where event_seq {among(tx, "seqs")} and state in (0, 1, 4)
        """,
        seqs=numbers(tx, event_seqs),
    )
    return {int(row["event_seq"]) for row in found}


def cancel_held(tx: Tx, event_seqs: Iterable[int], *, now: Instant) -> int:
    """Cancel what nobody sends of events whose time is over; return how many deliveries that is.

    That is what is held, what waits for an endpoint out of service, and what nobody read of a feed.
    """
    return tx.run(
        f"""
        update webhook_delivery set state = 5, reason = 'retention over', finished_at = :now
         where event_seq {among(tx, "seqs")}
           and (state = 4 or (state = 0 and endpoint_id in (select id from webhook_endpoint
                                                             where transport = 1 or state not in (0, 4))))
        """,
        seqs=numbers(tx, event_seqs),
        now=now,
    )


def digests(tx: ReadTx, event_seqs: Iterable[int]) -> list[Row]:
    """Return what a chain is made over, in order."""
    return list(
        tx.all(
            f"""
            select seq, id, merchant_id, mode, type, object_type, object_id, occurred_at, doc
              from event where seq {among(tx, "seqs")} order by seq
            """,
            seqs=numbers(tx, event_seqs),
        )
    )


def delete_events(tx: Tx, event_seqs: Sequence[int]) -> None:
    """Delete events with everything that was planned for them, and forget what was known of their blocks.

    A delivery that somebody wants sent again since we looked refers to its event, which cannot be deleted then.
    """
    tx.run(
        f"""
        update event_block set tally = null
         where (merchant_id, mode, up_to) in (
               select e.merchant_id, e.mode, (select min(b.up_to) from event_block b
                                               where b.merchant_id = e.merchant_id and b.mode = e.mode
                                                 and b.up_to >= e.seq)
                 from event e where e.seq {among(tx, "seqs")})
        """,
        seqs=numbers(tx, event_seqs),
    )
    gone = {"seqs": numbers(tx, event_seqs)}
    tx.run(f"delete from webhook_payload where event_seq {among(tx, 'seqs')}", **gone)
    tx.run(f"delete from webhook_delivery where event_seq {among(tx, 'seqs')} and state in (2, 3, 5)", **gone)
    tx.run(f"delete from event where seq {among(tx, 'seqs')}", **gone)


# Checkpoints.


def last_checkpoint(tx: ReadTx) -> Checkpoint | None:
    found = tx.all("select * from event_checkpoint order by id desc limit 1")
    return _as_checkpoint(found[0]) if found else None


def checkpoints(tx: ReadTx) -> list[Checkpoint]:
    return [_as_checkpoint(row) for row in tx.all("select * from event_checkpoint order by id")]


def insert_checkpoint(tx: Tx, made: Checkpoint) -> None:
    tx.run(
        """
        insert into event_checkpoint (first_seq, last_seq, events, chain, seal, purged_at)
        values (:first_seq, :last_seq, :events, :chain, :seal, :purged_at)
        """,
        first_seq=made.first_seq,
        last_seq=made.last_seq,
        events=made.events,
        chain=made.chain,
        seal=made.seal,
        purged_at=made.purged_at,
    )


def _as_checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(
        first_seq=int(row["first_seq"]),
        last_seq=int(row["last_seq"]),
        events=int(row["events"]),
        chain=row["chain"],
        seal=row["seal"],
        purged_at=Instant(row["purged_at"]),
    )
