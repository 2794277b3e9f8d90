"""SQL of operators and their roles."""

import json
from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.operators.model import Grant, Operator
from opentill.operators.permissions import ROLES

OPERATOR: Final = "o.id, o.email, o.name, o.status, o.created_at, o.sealed_totp is not null as has_factor"


def as_operator(row: Row) -> Operator:
    return Operator(
        row["id"], row["email"], row["name"], row["status"], row["created_at"], has_factor=bool(row["has_factor"])
    )


def by_id(tx: ReadTx, operator_id: int) -> Operator | None:
    row = tx.one_or_none(f"select {OPERATOR} from operator o where o.id = :id", id=operator_id)
    return as_operator(row) if row else None


def with_hash(tx: ReadTx, email: str) -> tuple[Operator, str] | None:
    """Return the active operator of an e-mail with the hash of the password."""
    row = tx.one_or_none(
        f"select {OPERATOR}, o.password_hash from operator o where o.email = :email and o.status = 'active'",
        email=email,
    )
    return (as_operator(row), row["password_hash"]) if row else None


def password_hash(tx: ReadTx, operator_id: int) -> str:
    kept: str = tx.all("select password_hash from operator where id = :id", id=operator_id)[0]["password_hash"]
    return kept


def everybody(tx: ReadTx) -> Sequence[Operator]:
    rows = tx.all(f"select {OPERATOR} from operator o order by o.status, o.name, o.id limit 500")
    return [as_operator(row) for row in rows]


def exists(tx: ReadTx, email: str) -> bool:
    return tx.one_or_none("select id from operator where email = :email", email=email) is not None


def set_password(tx: Tx, operator_id: int, password_hash: str) -> None:
    tx.run("update operator set password_hash = :hash where id = :id", hash=password_hash, id=operator_id)


def set_status(tx: Tx, operator_id: int, status: str) -> None:
    tx.run("update operator set status = :status where id = :id", status=status, id=operator_id)


def language(tx: ReadTx, operator_id: int) -> str | None:
    """Return the language an operator signed in with last; None before the first time."""
    row = tx.one_or_none("select language from operator where id = :id", id=operator_id)
    return row["language"] if row else None


def set_language(tx: Tx, operator_id: int, language: str) -> None:
    tx.run("update operator set language = :language where id = :id", language=language, id=operator_id)


def grants(tx: ReadTx, operator_id: int) -> tuple[Grant, ...]:
    """Return an operator's roles with what each allows; a role that no longer exists allows nothing."""
    rows = tx.all(
        """
        select g.merchant_id, g.role, r.permissions
          from operator_grant g left join operator_role r on r.slug = g.role
         where g.operator_id = :id order by g.id
        """,
        id=operator_id,
    )
    return tuple(Grant(row["merchant_id"], row["role"], _allowed(row["role"], row["permissions"])) for row in rows)


def set_grant(tx: Tx, operator_id: int, role: str, *, merchant_id: int | None, now: Instant) -> None:
    """Give an operator a role at a merchant, in place of any other they had there."""
    remove_grant(tx, operator_id, merchant_id=merchant_id)
    tx.run(
        """
        insert into operator_grant (operator_id, merchant_id, role, created_at)
        values (:operator_id, :merchant_id, :role, :now)
        """,
        operator_id=operator_id,
        merchant_id=merchant_id,
        role=role,
        now=now,
    )


def remove_grant(tx: Tx, operator_id: int, *, merchant_id: int | None) -> int:
    return tx.run(
        "delete from operator_grant where operator_id = :id and coalesce(merchant_id, 0) = :merchant_id",
        id=operator_id,
        merchant_id=merchant_id or 0,
    )


def lock_owners(tx: Tx) -> Sequence[int]:
    """Return who may do everything everywhere and is active, and keep others from changing that until *tx* ends."""
    rows = tx.all(
        f"""
        select o.id from operator o
         where o.status = 'active' and exists (select 1 from operator_grant g
                where g.operator_id = o.id and g.merchant_id is null and g.role = 'owner')
         order by o.id{for_update(tx)}
        """
    )
    return [row["id"] for row in rows]


def roles(tx: ReadTx) -> Sequence[tuple[str, str, frozenset[str]]]:
    """Return the roles made here as slug, name and what they allow."""
    rows = tx.all("select slug, name, permissions from operator_role order by name limit 200")
    return [(row["slug"], row["name"], frozenset(json.loads(row["permissions"]))) for row in rows]


def save_role(tx: Tx, slug: str, name: str, permissions: Sequence[str], *, now: Instant) -> None:
    tx.run(
        """
        insert into operator_role (slug, name, permissions, created_at) values (:slug, :name, :permissions, :now)
        on conflict (slug) do update set name = :name, permissions = :permissions
        """,
        slug=slug,
        name=name,
        permissions=json.dumps(sorted(permissions)),
        now=now,
    )


def _allowed(role: str, stored: str | None) -> frozenset[str]:
    return ROLES.get(role) or frozenset(json.loads(stored) if stored else ())
