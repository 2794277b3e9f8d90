"""SQL of what banks told us: their requests as they came, and what is to be read because of them."""

from collections.abc import Collection, Sequence

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.pix.model import GATEWAY
from opentill.pix.store.accounts import none_of


def insert_hint(tx: Tx, account_id: int, *, kind: str, ref: str, txid: str | None, now: Instant) -> str | None:
    """Note that something is to be read at the provider; return the txid it was first announced with.

    The same hint twice is one, but is looked at again.
    """
    rows = tx.all(
        """
        insert into pix_hint (account_id, kind, ref, txid, due_at, created_at)
        values (:account_id, :kind, :ref, :txid, :now, :now)
        on conflict (account_id, kind, ref) do update set due_at = :now, tries = 0
        returning txid
        """,
        account_id=account_id,
        kind=kind,
        ref=ref,
        txid=txid,
        now=now,
    )
    first_txid: str | None = rows[0]["txid"]
    return first_txid


def due_hints(tx: ReadTx, *, now: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Row]:
    """Return the hints to be confirmed now, *but* not those of some accounts."""
    return tx.all(
        f"""
        select id, account_id, kind, ref, txid, tries, due_at from pix_hint
         where due_at is not null and due_at <= :now{none_of(but)}
         order by due_at, id limit :limit
        """,
        now=now,
        limit=limit,
    )


def put_hint_off(tx: Tx, hint: Row, *, due_at: Instant) -> None:
    """Put a hint off until later. One that came again since it was read stays due."""
    tx.run(
        "update pix_hint set due_at = :due_at, tries = tries + 1 where id = :id and due_at = :seen",
        id=hint["id"],
        seen=hint["due_at"],
        due_at=due_at,
    )


def end_hint(tx: Tx, hint: Row, charge_id: str | None) -> bool:
    """Note that a hint is dealt with; tell whether the charge it announced money for still waits for that.

    One that came again since it was read stays due, and so does its charge.
    """
    rows = tx.all(
        """
        update pix_hint set due_at = null, tries = tries + 1 where id = :id and due_at = :seen
        returning (select c.state from pix_charge c where c.id = :charge_id and c.account_id = :account_id) as state
        """,
        id=hint["id"],
        seen=hint["due_at"],
        charge_id=charge_id,
        account_id=hint["account_id"],
    )
    return bool(rows) and rows[0]["state"] == "paying"


def insert_callback(tx: Tx, account_id: int, body: bytes, body_hash: str, *, now: Instant) -> None:
    """Keep a bank's request as it came, once."""
    tx.defer(
        """
        insert into provider_callback (gateway, account, body_hash, body, received_at)
        values (:gateway, :account, :body_hash, :body, :now)
        on conflict (gateway, account, body_hash) do nothing
        """,
        gateway=GATEWAY,
        account=str(account_id),
        body=body,
        body_hash=body_hash,
        now=now,
    )
