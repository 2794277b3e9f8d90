"""SQL of letters."""

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update, skip_locked
from opentill.kernel.clock import Instant
from opentill.mail.model import Kind, MailState

KNOWN = ", ".join(f"'{kind.value}'" for kind in Kind)
QUEUED, SENDING = int(MailState.QUEUED), int(MailState.SENDING)


def insert(
    tx: Tx,
    *,
    public_id: str,
    merchant_id: int | None,
    kind: str,
    once: str,
    told: int,
    more: int,
    sealed: str,
    due_at: Instant,
    until_at: Instant,
    now: Instant,
) -> bool:
    """Store a letter and tell whether it is new. One that tells the same counts *more* until its first try."""
    row = tx.all(
        f"""
        insert into mail (public_id, merchant_id, kind, once, told, sealed, due_at, until_at, created_at)
        values (:public_id, :merchant_id, :kind, :once, :told, :sealed, :due_at, :until_at, :now)
        on conflict (once) do update
           set told = mail.told
                    + case when mail.state = {QUEUED} and mail.attempts = 0 then cast(:more as bigint) else 0 end
        returning public_id
        """,
        public_id=public_id,
        merchant_id=merchant_id,
        kind=kind,
        once=once,
        told=told,
        more=more,
        sealed=sealed,
        due_at=due_at,
        until_at=until_at,
        now=now,
    )[0]
    return bool(row["public_id"] == public_id)


def exists(tx: ReadTx, once: str) -> bool:
    return tx.one_or_none("select id from mail where once = :once", once=once) is not None


def next_due(tx: Tx, *, now: Instant) -> Row | None:
    """Return the letter that is due longest, or whose sender's lease is over, locked until *tx* ends.

    What another version tells, whose worker may run beside this one, is left to it.
    """
    return tx.one_or_none(
        f"""
        select id, public_id, kind, told, sealed, state, attempts, doubts, until_at, last_error, created_at
          from mail where due_at <= :now and kind in ({KNOWN})
         order by due_at, id limit 1{skip_locked(tx)}
        """,
        now=now,
    )


def take(tx: Tx, letter_id: int, *, attempts: int, doubts: int, lease_until: Instant) -> None:
    tx.run(
        f"update mail set state = {SENDING}, attempts = :attempts, doubts = :doubts, due_at = :until where id = :id",
        id=letter_id,
        attempts=attempts,
        doubts=doubts,
        until=lease_until,
    )


def held(tx: Tx, letter_id: int, *, attempts: int) -> Row | None:
    """Return a letter that is still in the hands of its sender's try, locked until *tx* ends."""
    return tx.one_or_none(
        f"""
        select doubts, until_at from mail
         where id = :id and state = {SENDING} and attempts = :attempts{for_update(tx)}
        """,
        id=letter_id,
        attempts=attempts,
    )


def put_back(tx: Tx, letter_id: int, *, due_at: Instant, doubts: int, error: str) -> None:
    tx.run(
        f"update mail set state = {QUEUED}, due_at = :due_at, doubts = :doubts, last_error = :error where id = :id",
        id=letter_id,
        due_at=due_at,
        doubts=doubts,
        error=error,
    )


def end(tx: Tx, public_id: str, state: MailState, error: str | None, *, now: Instant) -> None:
    """End a letter; what it said, and to whom, is destroyed."""
    tx.run(
        """
        update mail set state = :state, sealed = null, due_at = null, ended_at = :now, last_error = :error
         where public_id = :public_id
        """,
        public_id=public_id,
        state=int(state),
        error=error,
        now=now,
    )


def end_due(tx: Tx, state: MailState, error: str, *, now: Instant, most: int) -> int:
    """End letters that are due without trying them; return how many."""
    return tx.run(
        f"""
        update mail set state = :state, sealed = null, due_at = null, ended_at = :now, last_error = :error
         where id in (select id from mail where due_at <= :now order by due_at, id limit :most{skip_locked(tx)})
        """,
        state=int(state),
        error=error,
        now=now,
        most=most,
    )


def purge(tx: Tx, *, before: Instant, most: int) -> int:
    return tx.run(
        "delete from mail where id in (select id from mail where ended_at < :before order by ended_at limit :most)",
        before=before,
        most=most,
    )
