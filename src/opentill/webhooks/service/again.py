"""Sending one delivery again: the same row once more, or a new one with a whole schedule (webhooks.md §5.8)."""

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.webhooks.model import IN_SERVICE, OWNER, By, DeliveryState, Dialect, Klass, Origin
from opentill.webhooks.service.endpoints import note
from opentill.webhooks.service.refusals import DeliveryNotFound, Final, InProgress, NotActive
from opentill.webhooks.store import deliveries as store
from opentill.webhooks.store import endpoints
from opentill.webhooks.store.deliveries import Waiting


def resend(
    tx: Tx, *, owner: Owner, delivery_id: int | str, now: Instant, dialect: Dialect | None = None, by: By = OWNER
) -> int:
    """Make one more attempt of a delivery now, by id or `dlv_…`; return its id. Its number goes on.

    Raises `DeliveryNotFound`, `InProgress`, `Final` or `NotActive`.
    """
    delivery = _lock(tx, owner, delivery_id, dialect)
    match delivery.state:
        case DeliveryState.SENDING:
            raise InProgress
        case DeliveryState.DUE if delivery.due_at <= now:
            raise InProgress
        case DeliveryState.CANCELLED:
            raise Final
    _check_is_alone(tx, delivery)
    store.resend(tx, delivery.id)
    _note(tx, by, "delivery.resend", delivery, now=now)
    return delivery.id


def redeliver(
    tx: Tx,
    *,
    owner: Owner,
    delivery_id: int | str,
    ids: Ids,
    now: Instant,
    dialect: Dialect | None = None,
    by: By = OWNER,
) -> tuple[str, str]:
    """Make a new delivery of the same event and bytes with its whole schedule; return its id and the event's.

    Raises `DeliveryNotFound`, `InProgress`, `Final` or `NotActive`.
    """
    delivery = _lock(tx, owner, delivery_id, dialect)
    if delivery.state is DeliveryState.CANCELLED:
        raise Final
    if delivery.state in (DeliveryState.DUE, DeliveryState.SENDING):
        raise InProgress
    _check_is_alone(tx, delivery)
    public_id = f"dlv_{ids.timed_hex()}"
    store.insert_again(tx, delivery.id, public_id=public_id, origin=Origin.REDELIVERY, klass=Klass.FIRST_TRY, now=now)
    _note(tx, by, "delivery.redeliver", delivery, now=now)
    return public_id, delivery.event_id


def _lock(tx: Tx, owner: Owner, delivery_id: int | str, dialect: Dialect | None) -> Waiting:
    """Return a delivery of an endpoint in service, locked."""
    delivery = store.lock(tx, owner=owner, delivery_id=delivery_id)
    if delivery is None or (dialect is not None and delivery.dialect is not dialect):
        raise DeliveryNotFound
    if delivery.endpoint_state not in IN_SERVICE:
        raise NotActive
    return delivery


def _check_is_alone(tx: Tx, delivery: Waiting) -> None:
    """See that no other delivery of the event to the endpoint is unfinished."""
    if store.has_unfinished(tx, delivery.event_seq, delivery.endpoint_id, besides=delivery.id):
        raise InProgress


def _note(tx: Tx, by: By, action: str, delivery: Waiting, *, now: Instant) -> None:
    endpoint = endpoints.get(tx, delivery.endpoint_id)
    if endpoint is not None:
        note(tx, by, action, endpoint, {"delivery": delivery.public_id}, now=now)
