"""Bank accounts for lists and screens, read-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner

LISTED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One bank account. *status* is active, paused or removed."""

    id: int
    merchant_uuid: str
    merchant_name: str
    mode: Mode
    profile: str
    bank_name: str
    bank_ispb: str
    status: str
    keys: tuple[str, ...]
    swept_until_at: Instant
    created_at: Instant


def account_lines(tx: ReadTx, *, owner: Owner | None = None) -> Sequence[AccountLine]:
    """Return the bank accounts of an owner, or those of all, the oldest first."""
    chosen = "where a.merchant_id = :merchant_id and a.mode = :mode" if owner is not None else ""
    rows = tx.all(
        f"""
        select a.id, a.mode, a.profile, a.bank_name, a.bank_ispb, a.active, a.removed_at, a.swept_until_at,
               a.created_at, m.uuid, m.name
          from pix_account a join merchant m on m.id = a.merchant_id
         {chosen}
         order by a.id limit :limit
        """,
        limit=LISTED_MAX,
        **({"merchant_id": owner.merchant_id, "mode": int(owner.mode)} if owner is not None else {}),
    )
    return [_line(tx, row) for row in rows]


def _line(tx: ReadTx, row: Row) -> AccountLine:
    keys = tx.all("select key from pix_key where account_id = :id and status = 'active' order by id", id=row["id"])
    return AccountLine(
        id=row["id"],
        merchant_uuid=row["uuid"],
        merchant_name=row["name"],
        mode=Mode(row["mode"]),
        profile=row["profile"],
        bank_name=row["bank_name"],
        bank_ispb=row["bank_ispb"],
        status="removed" if row["removed_at"] is not None else "active" if row["active"] else "paused",
        keys=tuple(found["key"] for found in keys),
        swept_until_at=row["swept_until_at"],
        created_at=row["created_at"],
    )
