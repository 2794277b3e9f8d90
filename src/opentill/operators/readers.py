"""Who is written to: the addresses of people with a permission."""

import json
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.operators.permissions import ROLES


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody's address, and the language they signed in with; None where they never did."""

    address: str
    language: str | None


def who_may(tx: ReadTx, permission: str, *, merchant_id: int) -> list[Reader]:
    """Return the active operators with a permission at a merchant: those of that merchant alone, else of all."""
    rows = tx.all(
        """
        select o.email, o.language, g.role, g.merchant_id, r.permissions
          from operator_grant g
          join operator o on o.id = g.operator_id and o.status = 'active'
          left join operator_role r on r.slug = g.role
         where g.merchant_id is null or g.merchant_id = :merchant_id
         order by o.id limit 1000
        """,
        merchant_id=merchant_id,
    )
    allowed = [row for row in rows if permission in (ROLES.get(row["role"]) or json.loads(row["permissions"] or "[]"))]
    own = [row for row in allowed if row["merchant_id"] is not None]
    found = {row["email"]: Reader(row["email"], row["language"]) for row in own or allowed}
    return list(found.values())
