"""SQL of sessions, second factors, and of the doors that wrong passwords close."""

from collections.abc import Sequence

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.operators.store.people import OPERATOR


def door(tx: ReadTx, account_hash: str, origin: str, *, lock: bool = False) -> Row | None:
    return tx.one_or_none(
        f"""
        select failures, since_at, locked_until_at from sign_in_door
         where account_hash = :account_hash and origin = :origin{for_update(tx) if lock else ""}
        """,
        account_hash=account_hash,
        origin=origin,
    )


def make_door(tx: Tx, account_hash: str, origin: str, *, now: Instant) -> None:
    """Make sure that there is a door, so that its row can be locked."""
    tx.run(
        """
        insert into sign_in_door (account_hash, origin, failures, since_at) values (:account_hash, :origin, 0, :now)
        on conflict (account_hash, origin) do nothing
        """,
        account_hash=account_hash,
        origin=origin,
        now=now,
    )


def set_door(
    tx: Tx, account_hash: str, origin: str, *, failures: int, since_at: Instant, locked_until_at: Instant
) -> None:
    tx.run(
        """
        update sign_in_door set failures = :failures, since_at = :since_at, locked_until_at = :locked_until_at
         where account_hash = :account_hash and origin = :origin
        """,
        account_hash=account_hash,
        origin=origin,
        failures=failures,
        since_at=since_at,
        locked_until_at=locked_until_at,
    )


def insert_attempt(tx: Tx, *, operator_id: int | None, origin: str, agent: str, outcome: str, now: Instant) -> None:
    tx.run(
        """
        insert into sign_in_attempt (at, operator_id, origin, agent, outcome)
        values (:now, :operator_id, :origin, :agent, :outcome)
        """,
        now=now,
        operator_id=operator_id,
        origin=origin,
        agent=agent,
        outcome=outcome,
    )


def insert_session(tx: Tx, **columns: object) -> None:
    tx.run(
        """
        insert into operator_session (public_id, token_hash, operator_id, factor_due, origin, agent, created_at,
                                      seen_at, confirmed_at, ends_at)
        values (:public_id, :token_hash, :operator_id, :factor_due, :origin, :agent, :now, :now, :now, :ends_at)
        """,
        **columns,
    )


def session(tx: ReadTx, token_hash: str, *, now: Instant, idle_since: Instant) -> Row | None:
    """Return a session that has not ended, with the columns of its operator, who is active."""
    return tx.one_or_none(
        f"""
        select s.id as session_id, s.public_id, s.factor_due, s.confirmed_at, s.seen_at, {OPERATOR}
          from operator_session s join operator o on o.id = s.operator_id
         where s.token_hash = :token_hash and s.ended_at is null and s.ends_at > :now and s.seen_at > :idle_since
           and o.status = 'active'
        """,
        token_hash=token_hash,
        now=now,
        idle_since=idle_since,
    )


def touch_session(tx: Tx, session_id: int, *, now: Instant) -> None:
    tx.run("update operator_session set seen_at = :now where id = :id", id=session_id, now=now)


def confirm_session(tx: Tx, session_id: int, *, now: Instant) -> None:
    tx.run("update operator_session set confirmed_at = :now where id = :id", id=session_id, now=now)


def end_session(tx: Tx, session_id: int, *, now: Instant) -> int:
    return tx.run(
        "update operator_session set ended_at = :now where id = :id and ended_at is null", id=session_id, now=now
    )


def end_sessions(tx: Tx, operator_id: int, *, but: int = 0, public_id: str | None = None, now: Instant) -> int:
    """End an operator's sessions, all but one, or only the one of a public id; return how many that were."""
    return tx.run(
        """
        update operator_session set ended_at = :now
         where operator_id = :operator_id and ended_at is null and id <> :but
           and public_id = coalesce(:public_id, public_id)
        """,
        operator_id=operator_id,
        but=but,
        public_id=public_id,
        now=now,
    )


def open_sessions(tx: ReadTx, operator_id: int, *, now: Instant, idle_since: Instant) -> Sequence[Row]:
    return tx.all(
        """
        select id, public_id, origin, agent, created_at, seen_at, ends_at from operator_session
         where operator_id = :operator_id and ended_at is null and factor_due = 0
           and ends_at > :now and seen_at > :idle_since
         order by seen_at desc limit 50
        """,
        operator_id=operator_id,
        now=now,
        idle_since=idle_since,
    )


def sealed_totp(tx: ReadTx, operator_id: int) -> str | None:
    row = tx.one_or_none("select sealed_totp from operator where id = :id", id=operator_id)
    return row["sealed_totp"] if row else None


def set_totp(tx: Tx, operator_id: int, sealed: str | None, *, step: int) -> None:
    tx.run(
        "update operator set sealed_totp = :sealed, totp_step = :step where id = :id",
        id=operator_id,
        sealed=sealed,
        step=step,
    )


def use_step(tx: Tx, operator_id: int, step: int) -> bool:
    """Use a step up. False where it or a later one was used: of two at once, one wins."""
    return (
        tx.run("update operator set totp_step = :step where id = :id and totp_step < :step", id=operator_id, step=step)
        == 1
    )


def replace_recovery_codes(tx: Tx, operator_id: int, hashes: Sequence[str], *, now: Instant) -> None:
    tx.run("delete from recovery_code where operator_id = :id", id=operator_id)
    tx.many(
        "insert into recovery_code (code_hash, operator_id, created_at) values (:hash, :operator_id, :now)",
        [{"hash": one, "operator_id": operator_id, "now": now} for one in hashes],
    )


def use_recovery_code(tx: Tx, operator_id: int, code_hash: str, *, now: Instant) -> bool:
    used = tx.run(
        """
        update recovery_code set used_at = :now
         where code_hash = :code_hash and operator_id = :operator_id and used_at is null
        """,
        code_hash=code_hash,
        operator_id=operator_id,
        now=now,
    )
    return used == 1


def recovery_codes_left(tx: ReadTx, operator_id: int) -> int:
    row = tx.one_or_none(
        "select count(*) as n from recovery_code where operator_id = :id and used_at is null", id=operator_id
    )
    left: int = row["n"] if row else 0
    return left


def replace_link(tx: Tx, operator_id: int, token_hash: str, *, expires_at: Instant, now: Instant) -> None:
    """Store a link by which an operator chooses a password; the ones before it end."""
    end_links(tx, operator_id)
    insert_link(tx, operator_id, token_hash, expires_at=expires_at, now=now)


def end_links(tx: Tx, operator_id: int) -> None:
    tx.run("delete from operator_link where operator_id = :id and used_at is null", id=operator_id)


def insert_link(tx: Tx, operator_id: int, token_hash: str, *, expires_at: Instant, now: Instant) -> None:
    tx.run(
        """
        insert into operator_link (token_hash, operator_id, expires_at, created_at)
        values (:token_hash, :operator_id, :expires_at, :now)
        """,
        token_hash=token_hash,
        operator_id=operator_id,
        expires_at=expires_at,
        now=now,
    )


def link_owner(tx: ReadTx, token_hash: str, *, now: Instant) -> int | None:
    row = tx.one_or_none(
        """
        select operator_id from operator_link
         where token_hash = :token_hash and used_at is null and expires_at > :now
        """,
        token_hash=token_hash,
        now=now,
    )
    return row["operator_id"] if row else None


def use_link(tx: Tx, token_hash: str, *, now: Instant) -> bool:
    used = tx.run(
        """
        update operator_link set used_at = :now
         where token_hash = :token_hash and used_at is null and expires_at > :now
        """,
        token_hash=token_hash,
        now=now,
    )
    return used == 1
