"""What operators set for the whole installation: maintenance, and how strictly and from where the API is used."""

import json
from dataclasses import dataclass, replace
from typing import Any

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant


@dataclass(frozen=True, slots=True)
class Install:
    """The switches of the installation, as they are until somebody sets them."""

    maintenance: bool = False  # the APIs answer 503 (merchant-api.md §1.3)
    require_super_admin_email: bool = False  # /api-keys wants X-Super-Admin-Email (merchant-api.md §9.12)
    cors_origins: tuple[str, ...] = ()  # browsers of these origins may read answers of the merchant API


def read(tx: ReadTx) -> Install:
    """Return the switches."""
    row = tx.one_or_none("select maintenance, require_super_admin_email, cors_origins from install where id = 1")
    if row is None:
        return Install()
    return Install(
        maintenance=bool(row["maintenance"]),
        require_super_admin_email=bool(row["require_super_admin_email"]),
        cors_origins=tuple(json.loads(row["cors_origins"])),
    )


def change(tx: Tx, *, now: Instant, **switches: Any) -> tuple[Install, Install]:
    """Set some switches; return what they were and what they are, for the audit log. Every process sees it in 1 s."""
    before = read(tx)
    then = replace(before, **switches)
    tx.run(
        """
        insert into install (id, maintenance, require_super_admin_email, cors_origins, changed_at)
        values (1, :maintenance, :require_super_admin_email, :cors_origins, :now)
        on conflict (id) do update
           set maintenance = excluded.maintenance, cors_origins = excluded.cors_origins,
               require_super_admin_email = excluded.require_super_admin_email, changed_at = excluded.changed_at
        """,
        maintenance=int(then.maintenance),
        require_super_admin_email=int(then.require_super_admin_email),
        cors_origins=json.dumps(list(then.cors_origins)),
        now=now,
    )
    return before, then


def is_super_admin(tx: ReadTx, email: str) -> bool:
    """Tell whether an active operator who may do everything has this address."""
    row = tx.one_or_none(
        """
        select id from operator o
         where email = :email and status = 'active'
           and exists (select 1 from operator_grant g
                        where g.operator_id = o.id and g.role = 'owner' and g.merchant_id is null)
        """,
        email=email.strip().lower(),
    )
    return row is not None
