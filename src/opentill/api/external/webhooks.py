"""/webhooks: registering, listing and removing endpoints, as on the seed page (pix-api.md §17.1)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.api.external import documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, wrong
from opentill.api.external.fields import flag, text
from opentill.api.external.once import once
from opentill.db import Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Invalid, NotFound
from opentill.merchants import queries as merchants
from opentill.outbound import AllowList, Outcome
from opentill.web.engine import bounds_of
from opentill.web.exchange import Answer
from opentill.web.routes import Operation
from opentill.webhooks import catalogue, service
from opentill.webhooks.catalogue import PIX_EVENTS
from opentill.webhooks.model import Dialect, Endpoint, EndpointState, Options

SECRET_CHARACTERS: Final = range(16, 129)
DESCRIPTION_MAX: Final = 255
FORBIDDEN: Final = frozenset({Outcome.BLOCKED_ADDRESS, Outcome.OWN_ADDRESS})
STATUS: Final = {
    EndpointState.ACTIVE: "active",
    EndpointState.ACTIVATING: "active",
    EndpointState.PAUSED: "paused",
    EndpointState.DISABLED: "disabled",
}


async def create(call: ExternalCall) -> Answer:
    """Register an endpoint; its secret is shown in this answer only."""
    deps, owner = call.dependencies, call.by.owner
    opened = await deps.db.read(lambda tx: merchants.outbound_allow(tx, owner))
    url, secret, options = _read(call, AllowList.parse(opened))

    def work(tx: Tx) -> bytes:
        endpoint, shown = service.create_endpoint(
            tx,
            owner=owner,
            dialect=Dialect.PIX,
            url=url,
            options=options,
            secret=secret,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
            bounds=bounds_of(deps.settings),
        )
        return call.written(
            {
                "worked": True,
                "id": endpoint.public_id,
                "url": endpoint.url,
                "events": shown_events(endpoint),
                "secret": shown.reveal(),
                "description": endpoint.options.description,
                "is_active": endpoint.state is EndpointState.ACTIVE,
                "created_at": iso_seconds(endpoint.created_at),
            }
        )

    return await once(call, 201, work)


async def index(call: ExternalCall) -> Answer:
    """List the endpoints, oldest first."""
    owner = call.by.owner
    endpoints = await call.dependencies.db.read(lambda tx: service.of_surface(tx, owner, Dialect.PIX))

    return Answer(200, call.written({"worked": True, "webhooks": [_listed(endpoint) for endpoint in endpoints]}))


async def remove(call: ExternalCall) -> Answer:
    """Remove an endpoint; what waits for it is dropped."""
    owner, public_id = call.by.owner, call.values["id"]

    def work(tx: Tx) -> None:
        service.delete_endpoint(
            tx, owner=owner, dialect=Dialect.PIX, endpoint_id=public_id, ids=call.dependencies.ids, now=call.arrived_at
        )

    try:
        await call.dependencies.db.write(work)
    except NotFound:
        raise NotFound("ENDPOINT_NOT_FOUND", "Webhook not found") from None
    return Answer(200, call.written({"worked": True}))


def _read(call: ExternalCall, opened: AllowList) -> tuple[str, str | None, Options]:
    """Read the fields in the order of their table. Raises Invalid with the first fault."""
    fields = call.fields
    url = checked_url(call, opened, insecure=fields.get("allow_insecure") is True)
    events = named_events(call)
    insecure = flag(fields, "allow_insecure")
    secret = chosen_secret(fields)
    description = text(fields, "description", characters_max=DESCRIPTION_MAX)
    return url, secret, Options(events, allow_insecure=insecure, description=description)


def checked_url(call: ExternalCall, opened: AllowList, *, insecure: bool) -> str:
    """Return the address of a request that may be called. Raises Invalid."""
    url = text(call.fields, "url")
    if not url:
        raise missing("url")
    options, bounds = Options(allow_insecure=insecure), bounds_of(call.dependencies.settings)
    faults = service.faults_of(dialect=Dialect.PIX, url=url, options=options, bounds=bounds)
    if faults:
        raise Invalid(faults)
    refusal = call.dependencies.outbound.check(url, plain_http=insecure, allow=opened)
    if refusal is not None and refusal.outcome in FORBIDDEN:
        raise wrong("url", "URL host is not allowed")
    return url


def named_events(call: ExternalCall) -> tuple[str, ...] | None:
    """Return the names of a request. The extra ones are names only where the operator offers them."""
    bounds = bounds_of(call.dependencies.settings)
    offered = catalogue.offered(Dialect.PIX, pix_extra=bounds.pix_extra_events)
    events = call.fields.get("events")
    if events is None:
        return None
    if not isinstance(events, list):
        raise wrong("events", "events must be an array")
    if not events:
        raise wrong("events", "events must not be empty")
    unknown = [str(name) for name in events if name not in offered]
    if unknown:
        raise wrong("events", f"events: contains invalid events: {', '.join(dict.fromkeys(unknown))}")
    return tuple(dict.fromkeys(events))


def chosen_secret(fields: Mapping[str, Any]) -> str | None:
    secret = text(fields, "secret")
    if secret is None:
        return None
    if len(secret) not in SECRET_CHARACTERS or not (secret.isascii() and secret.isprintable()):
        raise wrong("secret", "secret must be 16 to 128 printable characters")
    return secret


def shown_events(endpoint: Endpoint) -> list[str]:
    return list(endpoint.options.events if endpoint.options.events is not None else PIX_EVENTS)


def _listed(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.public_id,
        "url": endpoint.url,
        "events": shown_events(endpoint),
        "status": STATUS[endpoint.state],
        "created_at": iso_seconds(endpoint.created_at),
    }


OPERATIONS: Final = (
    Operation("POST", "/webhooks", create, "webhook:write", documents.CREATE_WEBHOOK),
    Operation("GET", "/webhooks", index, "webhook:read", documents.LIST_WEBHOOKS),
    Operation("DELETE", "/webhooks/{id}", remove, "webhook:write", documents.DELETE_WEBHOOK),
)
