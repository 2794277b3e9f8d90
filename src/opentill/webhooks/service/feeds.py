"""Feeds: endpoints that are read instead of called, for receivers nobody can reach from outside (webhooks.md §11).

A feed's lane never opens, so no dispatcher claims from it. Its deliveries get their numbers when they are read, under
the lane's lock: only what is committed is numbered, so numbers have no gaps and never run backwards.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Invalid
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.webhooks import endpoint_secrets
from opentill.webhooks.model import OWNER, Bounds, By, Dialect, Endpoint, EndpointState, Job, Options
from opentill.webhooks.queue import jobs
from opentill.webhooks.service.checks import faults_of
from opentill.webhooks.service.endpoints import check_room, lock, note, store_secret
from opentill.webhooks.service.refusals import EndpointNotFound, NotActive
from opentill.webhooks.store import endpoints as store
from opentill.webhooks.store import feeds, keys

TOKEN_PREFIX: Final = "whft_"  # noqa: S105 - what tokens begin with
TOKEN_CHARACTERS: Final = 40
ITEMS_MAX: Final = 500
ITEMS_DEFAULT: Final = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A new feed with its secret and its token, both shown only now."""

    endpoint: Endpoint
    secret: Secret
    token: Secret


@dataclass(frozen=True, slots=True)
class Page:
    """Numbered deliveries in order, ready to be signed, and whether there are more."""

    items: Sequence[tuple[int, Job]]
    next: int
    more: bool


def open_feed(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    options: Options,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    secret: str | None = None,
    bounds: Bounds,
    by: By = OWNER,
) -> Opened:
    """Register an endpoint that is read. Raises `Invalid` with every fault, or `LimitReached`."""
    faults = faults_of(dialect=dialect, url=None, options=options, secret=secret, bounds=bounds)
    if faults:
        raise Invalid(faults)
    store.lock_owner(tx, owner)
    check_room(tx, owner, dialect, bounds)
    endpoint_id = feeds.insert(
        tx, public_id=f"wh_{ids.hex(12)}", owner=owner, dialect=dialect, options=options, now=now
    )
    chosen = Secret(secret) if secret is not None else endpoint_secrets.generate(dialect, ids)
    store_secret(tx, endpoint_id, chosen, keyring=keyring, now=now)
    keys.make_first(tx, owner, ids=ids, keyring=keyring, now=now)
    token = _give_token(tx, endpoint_id, ids)
    made = store.get(tx, endpoint_id)
    if made is None:
        raise EndpointNotFound
    note(tx, by, "webhook.open_feed", made, {"options": options.to_json()}, now=now)
    return Opened(made, chosen, token)


def renew_token(
    tx: Tx, *, owner: Owner, dialect: Dialect, endpoint_id: int | str, ids: Ids, now: Instant, by: By = OWNER
) -> Secret:
    """Give a feed another token; the old one stops working at once. Raises `EndpointNotFound`."""
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    if not endpoint.is_pulled:
        raise EndpointNotFound
    token = _give_token(tx, endpoint.id, ids)
    note(tx, by, "webhook.renew_feed_token", endpoint, {}, now=now)
    return token


def feed_of(tx: ReadTx, *, endpoint_id: int | str, owner: Owner | None = None, token: str | None = None) -> Endpoint:
    """Return a feed by id or `wh_…`, for its owner or for whoever shows its token. Raises `EndpointNotFound`."""
    if owner is not None:
        found = store.find(tx, owner=owner, endpoint_id=endpoint_id)
    else:
        found = None if token is None else feeds.by_token(tx, _hash(token))
    if found is None or not found.is_pulled or endpoint_id not in (found.id, found.public_id):
        raise EndpointNotFound
    return found


def feed_waits(tx: ReadTx, endpoint: Endpoint, *, after: int) -> bool:
    """Tell whether a feed has anything beyond a number. Cheap, for those who wait."""
    return feeds.has_more(tx, endpoint.id, after=after)


def read_feed(tx: Tx, endpoint: Endpoint, *, after: int, limit: int, now: Instant) -> Page:
    """Acknowledge everything up to *after*, number what is new, and return up to *limit* deliveries beyond it.

    Reading with an older *after* returns the same rows again. Raises `NotActive`.
    """
    if endpoint.state not in (EndpointState.ACTIVE, EndpointState.ACTIVATING):
        raise NotActive
    last = feeds.lock(tx, endpoint.id, now=now)
    feeds.acknowledge(tx, endpoint.id, up_to=min(after, last), now=now)
    found = feeds.numbered(tx, endpoint.id, after=after, limit=limit + 1)
    missing = limit + 1 - len(found)
    if missing and after <= last:
        found += feeds.number(tx, endpoint.id, last=last, limit=missing)
        reach("feed.numbered")
    page = found[:limit]
    made = {job.claimed.id: job for job in jobs(tx, (row.delivery_id for row in page), now=now)}
    return Page(
        # One whose bytes cannot be made is passed over: it must not keep the others.
        items=[(row.feed_seq, made[row.delivery_id]) for row in page if row.delivery_id in made],
        next=page[-1].feed_seq if page else min(after, last),
        more=len(found) > limit,
    )


def _give_token(tx: Tx, endpoint_id: int, ids: Ids) -> Secret:
    token = TOKEN_PREFIX + ids.alnum(TOKEN_CHARACTERS)
    feeds.set_token(tx, endpoint_id, _hash(token))
    return Secret(token)


def _hash(token: str) -> str:
    """A token is random and long, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
