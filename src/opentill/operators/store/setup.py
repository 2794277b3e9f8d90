"""SQL of set-up links and of the first operator."""

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant


def operator_exists(tx: ReadTx) -> bool:
    return tx.one_or_none("select id from operator order by id limit 1") is not None


def insert_operator(tx: Tx, *, email: str, name: str, password_hash: str, now: Instant) -> int:
    """Insert an operator and return the id."""
    rows = tx.all(
        """
        insert into operator (email, name, password_hash, created_at)
        values (:email, :name, :password_hash, :now)
        returning id
        """,
        email=email,
        name=name,
        password_hash=password_hash,
        now=now,
    )
    made: int = rows[0]["id"]
    return made


def replace_setup_links(tx: Tx, token_hash: str, *, expires_at: Instant, now: Instant) -> None:
    """Store a link and forget every earlier one that was not used."""
    tx.run("delete from setup_link where used_at is null")
    tx.run(
        "insert into setup_link (token_hash, expires_at, created_at) values (:token_hash, :expires_at, :now)",
        token_hash=token_hash,
        expires_at=expires_at,
        now=now,
    )


def setup_link_is_open(tx: ReadTx, token_hash: str, *, now: Instant) -> bool:
    row = tx.one_or_none(
        "select expires_at from setup_link where token_hash = :token_hash and used_at is null",
        token_hash=token_hash,
    )
    return row is not None and bool(now < row["expires_at"])


def use_setup_link(tx: Tx, token_hash: str, *, now: Instant) -> bool:
    """Use a link up. False where it is unknown, expired or used: of two at once, one wins."""
    used = tx.run(
        """
        update setup_link set used_at = :now
         where token_hash = :token_hash and used_at is null and expires_at > :now
        """,
        token_hash=token_hash,
        now=now,
    )
    return used == 1
