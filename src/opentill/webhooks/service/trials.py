"""Tests: an event, its payload and a delivery that is claimed already, in one transaction (webhooks.md §13)."""

from typing import Final

from opentill.db import ReadTx, Tx
from opentill.events import Audience, Event, record
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.webhooks import catalogue
from opentill.webhooks.bodies import render, variant_for
from opentill.webhooks.model import LEASE_S, OWNER, By, Dialect, Endpoint, EndpointState, Job, Origin
from opentill.webhooks.planning import PLANNED, payload_row
from opentill.webhooks.queue import jobs
from opentill.webhooks.service.endpoints import note, of_surface
from opentill.webhooks.service.refusals import EndpointNotFound, NotActive
from opentill.webhooks.store import deliveries, outbox
from opentill.webhooks.store import endpoints as store

TEST_MESSAGE: Final = "Test event from OpenTill"


def endpoint_to_test(tx: ReadTx, *, owner: Owner, dialect: Dialect, endpoint_id: int | str | None) -> Endpoint:
    """Return the endpoint with an id or `wh_…`; without one the oldest active.

    Raises `EndpointNotFound` or `NotActive`.
    """
    known = of_surface(tx, owner, dialect)
    if endpoint_id is not None:
        for endpoint in known:
            if endpoint_id in (endpoint.id, endpoint.public_id):
                return endpoint
        raise EndpointNotFound
    for endpoint in known:
        if endpoint.state in (EndpointState.ACTIVE, EndpointState.ACTIVATING):
            return endpoint
    raise NotActive


def claim_test(
    tx: Tx,
    *,
    endpoint: Endpoint,
    worker: str,
    ids: Ids,
    now: Instant,
    message: str = TEST_MESSAGE,
    lease_s: int = LEASE_S,
    by: By = OWNER,
) -> Job:
    """Write a test event, its payload and a delivery that is claimed already; return it ready to send.

    It ignores the endpoint's filters, has one attempt, and is logged like any other. Raises `NotActive`.
    """
    if endpoint.state not in (EndpointState.ACTIVE, EndpointState.ACTIVATING):
        raise NotActive
    merchant_uuid = store.merchants(tx, [endpoint.owner.merchant_id])[endpoint.owner.merchant_id].uuid
    event_id = record(tx, _test_event(endpoint, merchant_uuid, message, now), ids=ids)
    event = outbox.by_id(tx, event_id)
    outbox.mark(tx, [event.seq], PLANNED)
    variant = variant_for(endpoint)
    outbox.insert_payloads(tx, [payload_row(event.seq, variant, render(event, variant))])
    public_id = f"dlv_{ids.timed_hex()}"
    delivery_id = deliveries.insert_claimed(
        tx,
        public_id=public_id,
        event_seq=event.seq,
        endpoint_id=endpoint.id,
        wire_type=catalogue.TEST_EVENT,
        variant=variant,
        object_key=event.object_key,
        origin=int(Origin.TEST),
        attempts_max=1,
        worker=worker,
        lease_until=after(now, lease_s * SECOND),
        now=now,
    )
    note(tx, by, "webhook.test", endpoint, {"delivery": public_id}, now=now)
    return jobs(tx, [delivery_id], now=now)[0]


def _test_event(endpoint: Endpoint, merchant_uuid: str, message: str, now: Instant) -> Event:
    return Event(
        type=catalogue.TEST_EVENT,
        merchant_type=catalogue.TEST_EVENT,
        pix_type=catalogue.TEST_EVENT,
        owner=endpoint.owner,
        audience=Audience.TEST,
        object_type="endpoint",
        object_id=endpoint.public_id,
        at=now,
        document={
            "merchant": {"uuid": merchant_uuid, "account_id": endpoint.owner.account_id},
            "test": {"webhook_id": endpoint.public_id, "message": message, "created_at": now},
        },
    )
