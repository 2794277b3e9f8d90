"""Deliveries as the merchant API lists them: one row each, with its body and its latest attempt (§9.13 there)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from opentill.db import ReadTx
from opentill.db.bulk import among, numbers
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import AT_ONCE, DeliveryState
from opentill.webhooks.queries.history import OWNED, AttemptRow, DeliveryRow, attempts, deliveries_by_id, picked
from opentill.webhooks.store.by_state import in_state

_OWNED: Final = f"{OWNED} and e.dialect = 0"
_OF_PAYMENT: Final = """i.event_seq in (select seq from event
                                         where object_type = 'payment' and object_id = :payment_uuid)"""
_UNTRIED, _TRIED = "i.attempts = 0", "i.attempts > 0"
_STATUS: Final[Mapping[str, Mapping[DeliveryState, str]]] = {  # the states behind a word, with what else holds
    "pending": {DeliveryState.SENDING: "", DeliveryState.DUE: _UNTRIED},
    "delivered": {DeliveryState.DELIVERED: ""},
    "failed": {DeliveryState.DEAD: "", DeliveryState.DUE: _TRIED},
    "skipped": {DeliveryState.HELD: "", DeliveryState.CANCELLED: ""},
}


@dataclass(frozen=True, slots=True)
class LogFilters:
    """What a list of deliveries is narrowed to; None means anything."""

    event: str | None = None
    statuses: tuple[str, ...] | None = None
    endpoint_id: int | None = None
    payment_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """A delivery, the exact bytes of its body where they are still kept, and its latest attempt."""

    delivery: DeliveryRow
    body: bytes | None
    attempt: AttemptRow | None

    @property
    def state(self) -> str:
        """Return the word of merchant-api.md §14.7."""
        match self.delivery.state:
            case DeliveryState.DUE | DeliveryState.SENDING:
                return "retrying" if self.delivery.attempts else "pending"
            case DeliveryState.HELD | DeliveryState.CANCELLED:
                return "skipped"
            case other:
                return other.name.lower()

    @property
    def next_at(self) -> Instant | None:
        """Return when it is tried again."""
        due = self.delivery.state is DeliveryState.DUE and self.delivery.due_at > AT_ONCE
        return self.delivery.due_at if due else None


@dataclass(frozen=True, slots=True)
class Beside:
    """Rows of another table that are numbered among the deliveries: a select of their ids, and its parameters."""

    ids: str
    params: Mapping[str, object]


def ids(
    tx: ReadTx,
    filters: LogFilters,
    *,
    owner: Owner,
    limit: int,
    offset: int = 0,
    before: int | None = None,
    beside: Beside | None = None,
) -> list[int]:
    """Return up to *limit* ids, newest first: those older than the id *before*, or after *offset* of them."""
    clauses, params = _narrowed(filters, owner)
    by_object = filters.payment_uuid is not None
    listed = picked(tx, [*clauses, "i.id < :before"], by_object=by_object, owned=_OWNED)
    if beside is not None:
        newest = f"select id from ({beside.ids}) every where id < :before order by id desc limit :reach"
        listed, params = f"{listed} union all select id from ({newest}) came", {**beside.params, **params}
    rows = tx.all(
        f"select id from ({listed}) listed order by id desc limit :limit offset :offset",
        before=2**62 if before is None else before,
        reach=offset + limit,
        limit=limit,
        offset=offset,
        **params,
    )
    return [int(row["id"]) for row in rows]


def rows(tx: ReadTx, delivery_ids: Sequence[int]) -> list[LogRow]:
    """Return those of the deliveries that are there, which the caller is known to own."""
    return _whole(tx, delivery_ids)


def count(tx: ReadTx, filters: LogFilters, *, owner: Owner) -> int:
    """Return how many deliveries pass the filters. Those of a state that has an index are counted in that."""
    clauses, params = _narrowed(replace(filters, statuses=None), owner)
    owned = f"i.endpoint_id in (select e.id from webhook_endpoint e where {_OWNED})"
    # Without a join, so that all of an owner's are counted in the index alone.
    counts = [
        f"(select count(*) from {found} i where {' and '.join((owned, *clauses, *more))})"
        for found, more in _places(tx, filters.statuses)
    ]
    counted: int = tx.all(f"select {' + '.join(counts) or '0'} as n", **params)[0]["n"]
    return counted


def _places(tx: ReadTx, statuses: Sequence[str] | None) -> list[tuple[str, Sequence[str]]]:
    """Return from where deliveries of these statuses are counted, and what else must hold there."""
    if statuses is None:
        return [("webhook_delivery", ())]
    return [
        (in_state(tx, state), [more] if more else ())
        for word in dict.fromkeys(statuses)
        for state, more in _STATUS.get(word, {}).items()
    ]


def one(tx: ReadTx, delivery_id: int) -> LogRow:
    """Return the row of a delivery the caller is known to own."""
    return _whole(tx, [delivery_id])[0]


def _whole(tx: ReadTx, ids: Sequence[int]) -> list[LogRow]:
    if not ids:
        return []
    bodies = tx.all(
        f"""
        select d.id, p.body from webhook_delivery d
          join webhook_payload p on p.event_seq = d.event_seq and p.variant = d.variant
         where d.id {among(tx, "ids")} and p.coding = 0
        """,
        ids=numbers(tx, ids),
    )
    body_of = {int(row["id"]): bytes(row["body"]) for row in bodies}
    latest = {attempt.delivery_id: attempt for attempt in attempts(tx, ids)}
    return [LogRow(row, body_of.get(row.id), latest.get(row.id)) for row in deliveries_by_id(tx, ids)]


def _narrowed(filters: LogFilters, owner: Owner) -> tuple[list[str], dict[str, Any]]:
    """Return what a delivery `i` has to meet, and the parameters, with the owner's."""
    clauses: list[str] = []
    params: dict[str, Any] = {**owner.columns}
    for clause, name, value in (
        ("i.wire_type = :event", "event", filters.event),
        ("i.endpoint_id = :endpoint_id", "endpoint_id", filters.endpoint_id),
        (_OF_PAYMENT, "payment_uuid", filters.payment_uuid),
    ):
        if value is not None:
            clauses.append(clause)
            params[name] = value
    if filters.statuses is not None:
        either = [
            f"(i.state = {state:d}{' and ' if more else ''}{more})"
            for word in filters.statuses
            for state, more in _STATUS.get(word, {}).items()
        ]
        clauses.append(f"({' or '.join(either) or '1 = 0'})")
    return clauses, params
