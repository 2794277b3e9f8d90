"""Use cases of those who own endpoints: register, look up, delete, test (webhooks.md §4, merchant-api.md §9.13)."""

from typing import Final
from urllib.parse import urlsplit

from opentill.db import ReadTx, Tx
from opentill.events import Audience, Event, record
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.outbound.urls import UnreadableHost, split_authority
from opentill.webhooks import catalogue, endpoint_secrets
from opentill.webhooks.bodies import render, variant_for
from opentill.webhooks.model import (
    TIMEOUT_MAX_S,
    Dialect,
    Endpoint,
    EndpointState,
    Job,
    Kind,
    Options,
    Origin,
)
from opentill.webhooks.planning import PLANNED, payload_row
from opentill.webhooks.queue import LEASE_S, jobs
from opentill.webhooks.routing import same_address
from opentill.webhooks.schedules import is_valid_override
from opentill.webhooks.store import endpoints as store
from opentill.webhooks.store import outbox
from opentill.webhooks.store import queue as queue_store

URL_CHARACTERS_MAX: Final = 2048
DESCRIPTION_CHARACTERS_MAX: Final = 255
TEST_MESSAGE: Final = "Test event from OpenTill"
ENDPOINTS_MAX: Final = 20
PIX_ENDPOINTS_MAX: Final = 5
IN_FLIGHT_MAX: Final = 50


class EndpointNotFound(NotFound):
    """No endpoint of that name belongs to the caller."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_NOT_FOUND", "Webhook endpoint not found.")


class EndpointExists(Conflict):
    """The caller has an endpoint with the same URL on the same surface."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_EXISTS", "An endpoint with this URL exists already.")


class LimitReached(Conflict):
    """The caller has as many endpoints as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__("ENDPOINT_LIMIT", f"Webhook limit reached ({limit})")
        self.limit = limit


class NotActive(Conflict):
    """A paused or disabled endpoint cannot be tested."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_NOT_ACTIVE", "Webhook is not active")


def create_endpoint(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    url: str,
    options: Options,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    secret: str | None = None,
) -> tuple[Endpoint, Secret]:
    """Register an active endpoint and return it with its secret, which is shown only now.

    Raises `Invalid` with every fault, `EndpointExists` (merchant API only) or `LimitReached`.
    """
    faults = faults_of(dialect=dialect, url=url, options=options, secret=secret)
    if faults:
        raise Invalid(faults)
    store.lock_owner(tx, owner)
    _check_room(tx, owner, dialect)
    if dialect is Dialect.MERCHANT and any(same_address(url, e.url) for e in of_surface(tx, owner, dialect)):
        raise EndpointExists

    endpoint_id = store.insert(
        tx,
        public_id=f"wh_{ids.hex(12)}",
        owner=owner,
        kind=Kind.REGISTERED,
        dialect=dialect,
        url=url,
        options=options,
        now=now,
    )
    chosen = Secret(secret) if secret is not None else endpoint_secrets.generate(dialect, ids)
    _store_secret(tx, endpoint_id, chosen, keyring=keyring, now=now)
    made = store.get(tx, endpoint_id)
    if made is None:
        raise EndpointNotFound
    return made, chosen


def faults_of(*, dialect: Dialect, url: str, options: Options, secret: str | None = None) -> list[Fault]:
    """Return what is wrong with the fields of an endpoint. Addresses are judged when sending, not here."""
    faults = []
    if not _is_url(url):
        faults.append(Fault("url", "INVALID_URL", "URL is invalid"))
    elif dialect is Dialect.PIX and urlsplit(url).scheme != "https" and not options.allow_insecure:
        faults.append(Fault("url", "INVALID_URL", "URL must use HTTPS"))
    unknown = catalogue.unknown_names((options.events or ()) + options.excepted, dialect)
    if unknown:
        faults.append(Fault("events", "INVALID_EVENTS", f"events: contains invalid events: {', '.join(unknown)}"))
    if secret is not None:
        wrong = endpoint_secrets.fault_of(secret, dialect)
        if wrong is not None:
            faults.append(Fault("secret", "INVALID_SECRET", wrong))
    return [*faults, *_option_faults(options)]


def _option_faults(options: Options) -> list[Fault]:
    faults = []
    if options.description is not None and len(options.description) > DESCRIPTION_CHARACTERS_MAX:
        text = f"description must be at most {DESCRIPTION_CHARACTERS_MAX} characters"
        faults.append(Fault("description", "VALIDATION_FAILED", text))
    if options.schedule is not None and not is_valid_override(options.schedule):
        faults.append(Fault("retry_schedule", "VALIDATION_FAILED", "retry_schedule is invalid"))
    if not 1 <= options.timeout_s <= TIMEOUT_MAX_S:
        faults.append(Fault("timeout_seconds", "VALIDATION_FAILED", "timeout_seconds is invalid"))
    if not 1 <= options.max_in_flight <= IN_FLIGHT_MAX:
        text = f"max_concurrency must be between 1 and {IN_FLIGHT_MAX}"
        faults.append(Fault("max_concurrency", "VALIDATION_FAILED", text))
    return faults


def of_surface(tx: ReadTx, owner: Owner, dialect: Dialect) -> list[Endpoint]:
    """Return an owner's registered endpoints of a surface, oldest first."""
    return [
        endpoint
        for endpoint in store.of_merchants(tx, [owner.merchant_id])
        if endpoint.owner == owner and endpoint.kind is Kind.REGISTERED and endpoint.dialect is dialect
    ]


def delete_endpoint(tx: Tx, *, owner: Owner, dialect: Dialect, public_id: str, now: Instant) -> None:
    """Delete an endpoint and its secrets; what waits for it is cancelled. Raises `EndpointNotFound`."""
    endpoint = store.lock(tx, owner=owner, public_id=public_id)
    if endpoint is None or endpoint.dialect is not dialect:
        raise EndpointNotFound
    store.set_state(tx, [endpoint.id], EndpointState.DELETED, reason="deleted by its owner", now=now)
    queue_store.cancel_unfinished(tx, endpoint.id, reason="endpoint deleted", now=now)
    store.delete_secrets(tx, endpoint.id)


def set_active(tx: Tx, *, owner: Owner, dialect: Dialect, public_id: str, active: bool, now: Instant) -> Endpoint:
    """Pause an endpoint or take it back into service; what was held meanwhile stays held.

    Raises `EndpointNotFound`.
    """
    endpoint = store.lock(tx, owner=owner, public_id=public_id)
    if endpoint is None or endpoint.dialect is not dialect:
        raise EndpointNotFound
    if active == (endpoint.state in (EndpointState.ACTIVE, EndpointState.ACTIVATING)):
        return endpoint
    if active:
        queue_store.set_due_aside(tx, endpoint.id, reason="not active when it was due")
    state = EndpointState.ACTIVE if active else EndpointState.PAUSED
    store.set_state(tx, [endpoint.id], state, reason=None, now=now)
    changed = store.get(tx, endpoint.id)
    if changed is None:
        raise EndpointNotFound
    return changed


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
    delivery_id = queue_store.insert_claimed(
        tx,
        public_id=f"dlv_{ids.timed_hex()}",
        event_seq=event.seq,
        endpoint_id=endpoint.id,
        wire_type=catalogue.TEST_EVENT,
        variant=variant,
        object_key=event.object_key,
        origin=int(Origin.TEST),
        attempts_max=1,
        worker=worker,
        lease_until=after(now, LEASE_S * SECOND),
        now=now,
    )
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


def _check_room(tx: Tx, owner: Owner, dialect: Dialect) -> None:
    if store.count_registered(tx, owner) >= ENDPOINTS_MAX:
        raise LimitReached(ENDPOINTS_MAX)
    if dialect is Dialect.PIX and store.count_registered(tx, owner, dialect) >= PIX_ENDPOINTS_MAX:
        raise LimitReached(PIX_ENDPOINTS_MAX)


def _store_secret(tx: Tx, endpoint_id: int, secret: Secret, *, keyring: Keyring, now: Instant) -> None:
    secret_id = store.insert_secret(tx, endpoint_id, fingerprint=endpoint_secrets.fingerprint(secret), now=now)
    store.seal_secret(tx, secret_id, keyring.seal(secret, store.secret_context(endpoint_id, secret_id)))


def _is_url(text: str) -> bool:
    """Tell whether a text is an absolute http or https URL without user info, fragment or odd port."""
    if len(text) > URL_CHARACTERS_MAX or not text.isascii() or any(c <= " " or c in "\\\x7f" for c in text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and _is_authority(parts.netloc)
        and "#" not in text
        and (port is None or port in (80, 443) or port >= 1024)
    )


def _is_authority(text: str) -> bool:
    """Tell whether a text is a host with or without a port, and no address that programs read differently: `0x7f.1`.

    User info is no part of it.
    """
    try:
        split_authority(text)
    except UnreadableHost:
        return False
    return True
