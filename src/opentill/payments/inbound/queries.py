"""Callbacks for lists and screens, and whose a request may be. Read-only."""

from collections.abc import Sequence
from typing import Any, Final

from opentill.db import ReadTx, Row
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.merchants.gateways import callback_networks
from opentill.payments.inbound.model import CallbackRow, CallbackState, Place

EVENT: Final = "gateway.callback"  # what lists of deliveries call it
_CALLBACK: Final = """
        select c.id, c.public_id, c.gateway, c.state, c.reason, c.status, c.url, c.body, c.times, c.payment_id,
               c.created_at, p.reference as payment_reference
          from gateway_callback c left join payment p on p.id = c.payment_id
         where c.merchant_id = :merchant_id and c.mode = :mode"""


def place_by_slug(tx: ReadTx, slug: str, gateway: str) -> Place | None:
    """Return the merchant an address names, whatever its status: callbacks of a suspended one go on."""
    row = tx.one_or_none(
        """
        select m.id as merchant_id, m.mode, g.settings
          from merchant m
          left join merchant_gateway g on g.merchant_id = m.id and g.mode = m.mode and g.slug = :gateway
         where m.slug = :slug
        """,
        slug=slug,
        gateway=gateway,
    )
    return _as_place(row) if row else None


def place_by_session(tx: ReadTx, reference: str, gateway: str) -> Place | None:
    """Return whose session a request says it is about. Nothing is believed before its signature fits this owner's."""
    row = tx.one_or_none(
        """
        select s.merchant_id, s.mode, g.settings
          from gateway_session s
          left join merchant_gateway g on g.merchant_id = s.merchant_id and g.mode = s.mode and g.slug = s.gateway
         where s.reference = :reference and s.gateway = :gateway
        """,
        reference=reference,
        gateway=gateway,
    )
    return _as_place(row) if row else None


def ids(
    owner: Owner, *, statuses: Sequence[str] | None = None, payment_uuid: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Return a select of the ids of an owner's callbacks, numbered among the deliveries, and its parameters."""
    condition, given = _condition(owner, statuses, payment_uuid)
    return f"select c.id from gateway_callback c left join payment p on p.id = c.payment_id where {condition}", given


def rows(tx: ReadTx, callback_ids: Sequence[int], *, owner: Owner) -> list[CallbackRow]:
    """Return those of an owner's callbacks that have one of the ids."""
    if not callback_ids:
        return []
    found = tx.all(f"{_CALLBACK} and c.id in ({', '.join(str(int(one)) for one in callback_ids)})", **owner.columns)
    return [_as_row(row) for row in found]


def count(tx: ReadTx, *, owner: Owner, statuses: Sequence[str] | None = None, payment_uuid: str | None = None) -> int:
    """Return how many callbacks pass the filters."""
    condition, given = _condition(owner, statuses, payment_uuid)
    counted: int = tx.all(
        f"select count(*) as n from gateway_callback c left join payment p on p.id = c.payment_id where {condition}",
        **given,
    )[0]["n"]
    return counted


def latest(tx: ReadTx, gateway: str, *, owner: Owner) -> CallbackRow | None:
    """Return the last callback of a gateway, for the screen that shows its address."""
    found = tx.all(f"{_CALLBACK} and c.gateway = :gateway order by c.id desc limit 1", **owner.columns, gateway=gateway)
    return _as_row(found[0]) if found else None


def _as_place(row: Row) -> Place:
    return Place(Owner(row["merchant_id"], Mode(row["mode"])), callback_networks(row["settings"]))


def _condition(owner: Owner, statuses: Sequence[str] | None, payment_uuid: str | None) -> tuple[str, dict[str, Any]]:
    clauses, given = ["c.merchant_id = :merchant_id and c.mode = :mode"], dict[str, Any](owner.columns)
    if statuses is not None:
        wanted = [f"'{state}'" for state in CallbackState if state in statuses]
        clauses.append(f"c.state in ({', '.join(wanted)})" if wanted else "1 = 0")
    if payment_uuid is not None:
        clauses.append("p.uuid = :payment_uuid")
        given["payment_uuid"] = payment_uuid
    return " and ".join(clauses), given


def _as_row(row: Row) -> CallbackRow:
    return CallbackRow(
        id=row["id"],
        public_id=row["public_id"],
        gateway=row["gateway"],
        state=CallbackState(row["state"]),
        reason=row["reason"],
        status=row["status"],
        url=row["url"],
        body=bytes(row["body"]),
        times=row["times"],
        payment_id=row["payment_id"],
        payment_reference=row["payment_reference"],
        created_at=row["created_at"],
    )
