"""Where an event goes: filters (webhooks.md §4.4) and callback addresses (merchant-api.md §14.5). Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from opentill.events import Audience
from opentill.webhooks import catalogue, conditions
from opentill.webhooks.bodies import variant_for, variant_of
from opentill.webhooks.model import (
    DEFAULTS,
    PLANNABLE,
    Dialect,
    Endpoint,
    EndpointState,
    Kind,
    Ordering,
    Payments,
    RecordedEvent,
    SignatureFormat,
)

CALLBACK_VARIANT: Final = variant_of(Dialect.MERCHANT, DEFAULTS)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
SENDING_STATES: Final = (EndpointState.ACTIVE, EndpointState.ACTIVATING)
ADDRESSES_KEPT: Final = 4096

# The three forms of the listener of one WooCommerce site.
_WOO_PATH: Final = re.compile(r"(?P<base>.*?)(?:/index\.php)?/wc-api/(?P<name>[^/]+)/?")
_WOO_QUERY: Final = re.compile(r"wc-api=(?P<name>[^&/]+)")

Address = tuple[str, str, int | None, str, str]


class Destination(NamedTuple):
    """One delivery to plan: to a registered endpoint, or to a callback address whose lane is its origin."""

    wire_type: str
    variant: str
    ordering: Ordering
    held: bool = False
    endpoint_id: int | None = None
    origin: str | None = None
    target_url: str | None = None
    target_format: SignatureFormat | None = None


def destinations(event: RecordedEvent, endpoints: Sequence[Endpoint]) -> list[Destination]:
    """Return where an event goes, given every endpoint of its merchant and mode that is not deleted."""
    found = [_to(endpoint, event) for endpoint in endpoints if wants(endpoint, event)]
    callback = _callback(event, endpoints, found)
    return found if callback is None else [*found, callback]


def wants(endpoint: Endpoint, event: RecordedEvent) -> bool:
    """Tell whether an endpoint hears of an event. Its conditions look into the event's document."""
    if endpoint.state not in PLANNABLE or endpoint.owner != event.owner:
        return False
    match endpoint.kind:
        case Kind.REGISTERED if event.audience is Audience.BUSINESS:
            pass
        case Kind.OPERATIONAL if event.audience is Audience.OPERATIONAL and not event.document.get("by_mail_only"):
            pass
        case _:
            return False
    name = event.name_in(endpoint.dialect)
    if name is None or not _subscribed(endpoint, name):
        return False
    if endpoint.options.payments is Payments.OWN and not _is_own(endpoint, event):
        return False
    return conditions.hold(endpoint.options.conditions, event)


def _subscribed(endpoint: Endpoint, name: str) -> bool:
    options, dialect = endpoint.options, endpoint.dialect
    chosen = (catalogue.ALL,) if options.events is None else options.events
    offered = catalogue.OPERATIONAL_EVENTS if endpoint.kind is Kind.OPERATIONAL else catalogue.default_set(dialect)
    usual = name in offered
    return _named(name, chosen, usual=usual) and not _named(name, options.excepted, usual=usual)


def _named(name: str, chosen: Sequence[str], *, usual: bool) -> bool:
    """Tell whether a name is among the chosen; families and `*` stand for the *usual* names only."""
    for entry in chosen:
        if entry == name or catalogue.MERCHANT_ALIASES.get(entry) == name:
            return True
        if usual and (entry == catalogue.ALL or (catalogue.is_family(entry) and catalogue.in_family(name, entry))):
            return True
    return False


def _is_own(endpoint: Endpoint, event: RecordedEvent) -> bool:
    """Tell whether the event's payment was made with this endpoint's URL as its callback address."""
    return event.callback_url is not None and same_address(event.callback_url, endpoint.url)


def _to(endpoint: Endpoint, event: RecordedEvent) -> Destination:
    return Destination(
        wire_type=str(event.name_in(endpoint.dialect)),
        variant=variant_for(endpoint),
        ordering=endpoint.ordering,
        held=endpoint.state not in SENDING_STATES,
        endpoint_id=endpoint.id,
    )


def _callback(
    event: RecordedEvent, endpoints: Sequence[Endpoint], planned: Sequence[Destination]
) -> Destination | None:
    """Return the delivery to the payment's own callback address, if it gets one."""
    url = event.callback_url
    if url is None or event.merchant_type not in catalogue.CALLBACK_EVENTS:
        return None
    same = [e for e in of_merchant_api(endpoints) if same_address(url, e.url)]
    if any(endpoint.state in SENDING_STATES for endpoint in same):
        return None
    if same:  # its owner switched this address off: recorded, not sent
        known = {destination.endpoint_id for destination in planned}
        return None if known & {e.id for e in same} else _to(same[0], event)
    return Destination(
        wire_type=event.merchant_type,
        variant=CALLBACK_VARIANT,
        ordering=Ordering.FIRST_TRY,
        origin=origin_of(url),
        target_url=url,
        target_format=event.callback_format,
    )


def of_merchant_api(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the endpoints a callback address is compared with."""
    return [
        e for e in endpoints if e.kind is Kind.REGISTERED and e.dialect is Dialect.MERCHANT and e.state in PLANNABLE
    ]


def signer_of(target_url: str, endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """Return the endpoint whose secret signs for a callback address; None means the merchant's default secret."""
    active = [e for e in of_merchant_api(endpoints) if e.state in SENDING_STATES]
    origin = origin_of(target_url)
    same = [e for e in active if same_address(target_url, e.url)]
    neighbours = same or [e for e in active if origin_of(e.url) == origin]
    return neighbours[0] if len(neighbours) == 1 else None


def same_address(one: str, other: str) -> bool:
    """Tell whether two URLs mean one receiver (merchant-api.md §14.5)."""
    return address_of(one) == address_of(other)


@lru_cache(ADDRESSES_KEPT)
def address_of(url: str) -> Address:
    """Return what two URLs of one receiver have in common."""
    parts = urlsplit(url)
    place = (
        parts.scheme.lower(),
        (parts.hostname or "").lower(),
        parts.port or DEFAULT_PORTS.get(parts.scheme.lower()),
    )
    by_query = _WOO_QUERY.fullmatch(parts.query)
    if by_query is not None and (parts.path or "/").endswith("/"):
        return (*place, parts.path.rstrip("/"), "woo:" + by_query["name"])
    by_path = _WOO_PATH.fullmatch(parts.path)
    if by_path is not None and not parts.query:
        return (*place, by_path["base"], "woo:" + by_path["name"])
    return (*place, parts.path or "/", parts.query)


@lru_cache(ADDRESSES_KEPT)
def origin_of(url: str) -> str:
    """Return `scheme://host:port` of a URL, default port left out."""
    scheme, host, port, _, _ = address_of(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{shown}:{port}"
