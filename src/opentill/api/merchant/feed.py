"""/webhooks/{id}/feed: what an endpoint would have been sent, for those who cannot be reached (webhooks.md §11)."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentill.api.merchant import feed_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.errors import Stopped
from opentill.db import Tx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Fault, Invalid
from opentill.web.engine import bounds_of
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import FEED, Operation
from opentill.webhooks import sending, service
from opentill.webhooks.model import Dialect, Endpoint, Job, Options
from opentill.webhooks.service.feeds import ITEMS_DEFAULT, ITEMS_MAX, TOKEN_PREFIX, Page

WAIT_MAX_S: Final = 25
LOOK_AGAIN_S: Final = 0.25
WAITING_MAX: Final = 2  # requests of one feed that are held until there is something
NUMBER_MAX: Final = 2**62
DIALECTS: Final = {dialect.name.lower(): dialect for dialect in Dialect}

_waiting: Final[Counter[int]] = Counter()


async def read(call: MerchantCall) -> Answer:
    """Return what comes after a number, which acknowledges everything up to it."""
    query = call.query()
    after = _number(query, "after", 0, 0, NUMBER_MAX)
    limit = _number(query, "limit", ITEMS_DEFAULT, 1, ITEMS_MAX)
    wait_s = _number(query, "wait", 0, 0, WAIT_MAX_S)
    endpoint = await _feed(call)

    page = await _page(call, endpoint, after, limit)
    if not page.items and wait_s:
        with _place_to_wait(endpoint):
            page = await _wait(call, endpoint, after, limit, wait_s)

    now = call.dependencies.clock.now()
    data = [_item(call, number, job, now) for number, job in page.items]
    return Answer(200, write({"success": True, "data": data, "meta": {"next": page.next, "more": page.more}}))


async def _feed(call: MerchantCall) -> Endpoint:
    """Return the feed, for a key of its owner or for its own token. Raises `EndpointNotFound`."""
    name = call.values["id"]
    endpoint_id: int | str = int(name) if name.isdecimal() and len(name) < 16 else name
    owner = None if call.key is None else call.key.owner
    token = None if owner is not None else _token(call)
    return await call.dependencies.db.read(
        lambda tx: service.feed_of(tx, endpoint_id=endpoint_id, owner=owner, token=token)
    )


def _token(call: MerchantCall) -> str:
    scheme, _, text = (call.header(b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip().startswith(TOKEN_PREFIX):
        raise Stopped(
            401,
            "INVALID_TOKEN",
            "Send an API key with the scope 'read', or the token of the feed.",
            headers=((b"www-authenticate", b"Bearer"),),
        )
    return text.strip()


async def _page(call: MerchantCall, endpoint: Endpoint, after: int, limit: int) -> Page:
    now = call.dependencies.clock.now()
    return await call.dependencies.db.write(
        lambda tx: service.read_feed(tx, endpoint, after=after, limit=limit, now=now)
    )


async def _wait(call: MerchantCall, endpoint: Endpoint, after: int, limit: int, wait_s: int) -> Page:
    """Look again when events were recorded, at the latest every quarter of a second, until there is something."""
    db, loop = call.dependencies.db, asyncio.get_running_loop()
    until, seen = loop.time() + wait_s, db.events_recorded.count
    while (left_s := until - loop.time()) > 0:
        seen = await db.events_recorded.wait_beyond(seen, timeout_s=min(LOOK_AGAIN_S, left_s))
        if await db.read(lambda tx: service.feed_waits(tx, endpoint, after=after)):
            break
    return await _page(call, endpoint, after, limit)


@contextmanager
def _place_to_wait(endpoint: Endpoint) -> Iterator[None]:
    if _waiting[endpoint.id] >= WAITING_MAX:
        message = f"At most {WAITING_MAX} requests may wait for one feed."
        raise Stopped(429, "TOO_MANY_WAITING", message, retry_after_s=1)
    _waiting[endpoint.id] += 1
    try:
        yield
    finally:
        _waiting[endpoint.id] -= 1
        if not _waiting[endpoint.id]:
            del _waiting[endpoint.id]


def _item(call: MerchantCall, number: int, job: Job, now: Instant) -> dict[str, Any]:
    """Render one delivery with every header an attempt at this moment would carry."""
    headers = sending.signed_headers(job, call.dependencies.keyring, now)
    return {"feed_id": number, "headers": dict(headers), "body": job.body.decode()}


def _number(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or not least <= int(text) <= most:
        raise Invalid([Fault(name, "VALIDATION_FAILED", f"{name} must be a whole number from {least} to {most}.")])
    return int(text)


async def open_feed(call: MerchantCall) -> Answer:
    """Register an endpoint that is read; its secret and token are in this answer and nowhere else."""
    fields, deps = call.fields, call.dependencies
    dialect, options, secret = _asked(fields)

    def make(tx: Tx) -> service.Opened:
        return service.open_feed(
            tx,
            owner=call.by.owner,
            dialect=dialect,
            options=options,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
            secret=secret,
            bounds=bounds_of(deps.settings),
        )

    opened = await deps.db.write(make)
    data = {
        "id": opened.endpoint.id,
        "webhook_id": opened.endpoint.public_id,
        "transport": "pull",
        "dialect": opened.endpoint.dialect.name.lower(),
        "events": list(opened.endpoint.options.events or ("*",)),
        "description": opened.endpoint.options.description,
        "secret": opened.secret.reveal(),
        "feed_token": opened.token.reveal(),
        "created_at": iso_seconds(opened.endpoint.created_at),
    }
    return Answer(201, write({"success": True, "data": data}))


async def close_feed(call: MerchantCall) -> Answer:
    """Delete a feed; what nobody read of it is cancelled."""
    endpoint, deps = await _feed(call), call.dependencies
    await deps.db.write(
        lambda tx: service.delete_endpoint(
            tx,
            owner=call.by.owner,
            dialect=endpoint.dialect,
            endpoint_id=endpoint.id,
            now=call.arrived_at,
            ids=deps.ids,
        )
    )
    return Answer(200, write({"success": True, "data": {"id": endpoint.id, "deleted": True}}))


async def renew_token(call: MerchantCall) -> Answer:
    """Give a feed another token; the old one stops working at once."""
    endpoint, deps = await _feed(call), call.dependencies
    token = await deps.db.write(
        lambda tx: service.renew_token(
            tx,
            owner=call.by.owner,
            dialect=endpoint.dialect,
            endpoint_id=endpoint.id,
            ids=deps.ids,
            now=call.arrived_at,
        )
    )
    return Answer(200, write({"success": True, "data": {"id": endpoint.id, "feed_token": token.reveal()}}))


def _asked(fields: dict[str, Any]) -> tuple[Dialect, Options, str | None]:
    """Read what a feed is to be like. Raises `Invalid`."""
    name, events = fields.get("dialect", "merchant"), fields.get("events") or []
    secret, description = fields.get("secret"), fields.get("description")
    faults = []
    if not isinstance(name, str) or name not in DIALECTS:
        faults.append(Fault("dialect", "VALIDATION_FAILED", f"dialect must be one of {', '.join(DIALECTS)}."))
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        faults.append(Fault("events", "INVALID_EVENTS", "events must be a list of event names."))
    for field, value in (("secret", secret), ("description", description)):
        if value is not None and not isinstance(value, str):
            faults.append(Fault(field, "VALIDATION_FAILED", f"{field} must be text."))
    if faults:
        raise Invalid(faults)
    named = None if events in ([], ["*"]) else tuple(events)
    return DIALECTS[name], Options(events=named, description=description), secret


OPERATIONS: Final = (
    Operation("POST", "/webhooks/feeds", open_feed, "write", documents.OPEN_FEED),
    Operation("GET", "/webhooks/{id}/feed", read, FEED, documents.READ_FEED),
    Operation("DELETE", "/webhooks/{id}/feed", close_feed, "write", documents.CLOSE_FEED),
    Operation("POST", "/webhooks/{id}/feed-token", renew_token, "write", documents.RENEW_TOKEN),
)
