"""Use cases of those who own endpoints: register, look up, change, delete (webhooks.md §4, merchant-api.md §9.13)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.webhooks import endpoint_secrets
from opentill.webhooks.entrusted import Entrusted
from opentill.webhooks.model import OWNER, Bounds, By, Dialect, Endpoint, EndpointState, Kind, Options
from opentill.webhooks.routing import same_address
from opentill.webhooks.service.checks import faults_of
from opentill.webhooks.service.refusals import EndpointExists, EndpointNotFound, LimitReached
from opentill.webhooks.store import deliveries, keys, outbox, replays
from opentill.webhooks.store import endpoints as store

SET_ASIDE_ROWS_MAX: Final = 500  # more than this is left to a job


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
    entrusted: Entrusted | None = None,
    kind: Kind = Kind.REGISTERED,
    bounds: Bounds,
    by: By = OWNER,
) -> tuple[Endpoint, Secret]:
    """Register an active endpoint and return it with its secret, which is shown only now.

    An operational one is the operator's, and hears of the owner's endpoints and deliveries in the standard dialect.
    Raises `Invalid` with every fault, `EndpointExists` (merchant API only) or `LimitReached`.
    """
    if kind is Kind.OPERATIONAL and dialect is not Dialect.STANDARD:
        raise Invalid([Fault("dialect", "VALIDATION_FAILED", "operational events are in the standard dialect only")])
    faults = faults_of(
        dialect=dialect, url=url, options=options, secret=secret, entrusted=entrusted, kind=kind, bounds=bounds
    )
    if faults:
        raise Invalid(faults)
    store.lock_owner(tx, owner)
    check_room(tx, owner, dialect, bounds, kind)
    _check_is_new(tx, owner, dialect, url)

    endpoint_id = store.insert(
        tx,
        public_id=f"wh_{ids.hex(12)}",
        owner=owner,
        kind=kind,
        dialect=dialect,
        url=url,
        options=options,
        now=now,
    )
    chosen = Secret(secret) if secret is not None else endpoint_secrets.generate(dialect, ids)
    store_secret(tx, endpoint_id, chosen, keyring=keyring, now=now)
    if entrusted is not None:
        store.save_entrusted(tx, endpoint_id, entrusted.sealed(keyring, endpoint_id))
    keys.make_first(tx, owner, ids=ids, keyring=keyring, now=now)
    made = _again(tx, endpoint_id)
    note(tx, by, "webhook.create", made, {"after": _shown(made)}, now=now)
    return made, chosen


def of_surface(tx: ReadTx, owner: Owner, dialect: Dialect) -> list[Endpoint]:
    """Return an owner's endpoints of a surface, oldest first; the operational ones are of the standard dialect."""
    return [
        endpoint
        for endpoint in store.of_merchants(tx, [owner.merchant_id])
        if endpoint.owner == owner and endpoint.dialect is dialect
    ]


def find(tx: ReadTx, *, owner: Owner, dialect: Dialect, endpoint_id: int | str) -> Endpoint:
    """Return an owner's endpoint of a surface, by id or `wh_…`. Raises `EndpointNotFound`."""
    return _of(store.find(tx, owner=owner, endpoint_id=endpoint_id), dialect)


def lock(tx: Tx, *, owner: Owner, dialect: Dialect, endpoint_id: int | str) -> Endpoint:
    """Return the same, locked against other changes. Raises `EndpointNotFound`."""
    return _of(store.lock(tx, owner=owner, endpoint_id=endpoint_id), dialect)


def change_endpoint(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    now: Instant,
    url: str | None = None,
    options: Options | None = None,
    bounds: Bounds,
    by: By = OWNER,
) -> Endpoint:
    """Give an endpoint another URL or other options; they hold from the next claim on. Absent means as it was.

    Raises `EndpointNotFound`, `Invalid` with every fault, or `EndpointExists` (merchant API only).
    """
    before = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    url, options = url if url is not None else before.url, options if options is not None else before.options
    faults = faults_of(
        dialect=dialect,
        url=None if before.is_pulled else url,
        options=options,
        kind=before.kind,
        bounds=bounds,
        had=(before.options.events or ()) + before.options.excepted,
    )
    if faults:
        raise Invalid(faults)
    if (url, options) == (before.url, before.options):
        return before
    if url != before.url:
        _check_is_new(tx, owner, dialect, url, besides=before.id)
    store.save(tx, before.id, url=url, options=options)
    changed = _again(tx, before.id)
    note(tx, by, "webhook.change", changed, {"before": _shown(before), "after": _shown(changed)}, now=now)
    return changed


def entrust(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    entrusted: Entrusted,
    keyring: Keyring,
    now: Instant,
    by: By = OWNER,
) -> Endpoint:
    """Keep the owner's own headers and credentials for the receiver, sealed. Raises `Invalid`, `EndpointNotFound`."""
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    faults = entrusted.faults()
    if faults:
        raise Invalid(faults)
    store.save_entrusted(tx, endpoint.id, entrusted.sealed(keyring, endpoint.id))
    note(tx, by, "webhook.entrust", endpoint, {"headers": [name for name, _ in entrusted.headers]}, now=now)
    return _again(tx, endpoint.id)


def delete_endpoint(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    now: Instant,
    ids: Ids,
    by: By = OWNER,
) -> None:
    """Delete an endpoint and its secrets; what waits for it is cancelled. Raises `EndpointNotFound`."""
    outbox.await_planner(tx)  # what it plans for the endpoint it has seen is cancelled too
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    store.set_state(tx, endpoint.id, EndpointState.DELETED, reason="deleted by its owner", now=now)
    if deliveries.cancel(tx, endpoint.id, now=now, most=SET_ASIDE_ROWS_MAX) >= SET_ASIDE_ROWS_MAX:
        replays.insert_cancelling(tx, f"rpl_{ids.timed_hex()}", endpoint.id, created_by=by.actor, now=now)
    store.delete_secrets(tx, endpoint.id)
    note(tx, by, "webhook.delete", endpoint, {"before": _shown(endpoint)}, now=now)


def store_secret(tx: Tx, endpoint_id: int, secret: Secret, *, keyring: Keyring, now: Instant) -> None:
    """Store a secret as the current one, sealed for its row."""
    secret_id = store.insert_secret(tx, endpoint_id, fingerprint=endpoint_secrets.fingerprint(secret), now=now)
    store.seal_secret(tx, secret_id, keyring.seal(secret, store.secret_context(endpoint_id, secret_id)))


def note(tx: Tx, by: By, action: str, endpoint: Endpoint, detail: Mapping[str, Any], *, now: Instant) -> None:
    """Add a line to the audit log."""
    change = Change(by.actor, by.origin, action, endpoint.public_id, detail, merchant_id=endpoint.owner.merchant_id)
    audit.write(tx, change, now=now)


def check_room(tx: Tx, owner: Owner, dialect: Dialect, bounds: Bounds, kind: Kind = Kind.REGISTERED) -> None:
    """See that the owner may have one more endpoint of a kind. Raises `LimitReached`."""
    if store.count(tx, owner, kind) >= bounds.endpoints_max:
        raise LimitReached(bounds.endpoints_max)
    if dialect is Dialect.PIX and store.count(tx, owner, kind, dialect) >= bounds.pix_endpoints_max:
        raise LimitReached(bounds.pix_endpoints_max)


def _check_is_new(tx: Tx, owner: Owner, dialect: Dialect, url: str, besides: int | None = None) -> None:
    if dialect is not Dialect.MERCHANT:
        return
    if any(same_address(url, e.url) for e in of_surface(tx, owner, dialect) if e.id != besides):
        raise EndpointExists


def _of(endpoint: Endpoint | None, dialect: Dialect) -> Endpoint:
    if endpoint is None or endpoint.dialect is not dialect:
        raise EndpointNotFound
    return endpoint


def _again(tx: ReadTx, endpoint_id: int) -> Endpoint:
    found = store.get(tx, endpoint_id)
    if found is None:
        raise EndpointNotFound
    return found


def _shown(endpoint: Endpoint) -> dict[str, str]:
    return {"url": endpoint.url, "options": endpoint.options.to_json()}
