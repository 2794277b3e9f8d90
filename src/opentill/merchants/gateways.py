"""Which gateways a merchant has switched on."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


@dataclass(frozen=True, slots=True)
class ActiveGateway:
    """A gateway as this merchant's payers see it."""

    slug: str
    name: str


def switch_on(tx: Tx, slug: str, *, name: str, owner: Owner, position: int, now: Instant) -> None:
    """Offer a gateway at the merchant's checkout. Safe to repeat."""
    tx.run(
        """
        insert into merchant_gateway (merchant_id, mode, slug, name, position, created_at)
        values (:merchant_id, :mode, :slug, :name, :position, :now)
        on conflict (merchant_id, mode, slug) do update set active = 1, name = :name, position = :position
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        slug=slug,
        name=name,
        position=position,
        now=now,
    )


def active(tx: ReadTx, *, owner: Owner) -> Sequence[ActiveGateway]:
    """Return the merchant's gateways that are switched on, in the order payers see them."""
    rows = tx.all(
        """
        select slug, name from merchant_gateway
         where merchant_id = :merchant_id and mode = :mode and active = 1
         order by position, id
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return [ActiveGateway(row["slug"], row["name"]) for row in rows]
