"""What is wrong with the fields of an endpoint. Addresses are judged when sending (webhooks.md §4.2, §7.2)."""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from opentill.kernel.errors import Fault
from opentill.outbound.tls import BadProfile, TlsProfile, context_for
from opentill.outbound.urls import UnreadableHost, split_authority
from opentill.webhooks import catalogue, conditions, endpoint_secrets
from opentill.webhooks.entrusted import Entrusted
from opentill.webhooks.model import BURST_MAX, RATE_MAX, RATE_MIN, TIMEOUT_MAX_S, Bounds, Dialect, Kind, Options
from opentill.webhooks.schedules import is_valid_override

URL_CHARACTERS_MAX: Final = 2048
DESCRIPTION_CHARACTERS_MAX: Final = 255
IN_FLIGHT_MAX: Final = 50
CA_BUNDLE_BYTES_MAX: Final = 64 * 1024
ADDRESSES_NOTIFIED_MAX: Final = 5
_MAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


def faults_of(
    *,
    dialect: Dialect,
    url: str | None,
    options: Options,
    secret: str | None = None,
    entrusted: Entrusted | None = None,
    kind: Kind = Kind.REGISTERED,
    bounds: Bounds,
    had: Sequence[str] = (),
) -> list[Fault]:
    """Return every fault of the fields of an endpoint. A feed has no URL; event names it *had* it may keep."""
    faults = []
    if url is None:
        pass
    elif not _is_url(url):
        faults.append(Fault("url", "INVALID_URL", "URL is invalid"))
    elif dialect is Dialect.PIX and urlsplit(url).scheme != "https" and not options.allow_insecure:
        faults.append(Fault("url", "INVALID_URL", "URL must use HTTPS"))
    named = (options.events or ()) + options.excepted
    offered = catalogue.offered(dialect, kind=kind, pix_extra=bounds.pix_extra_events)
    unknown = catalogue.unknown_names((name for name in named if name not in had), dialect, offered)
    if unknown:
        faults.append(Fault("events", "INVALID_EVENTS", f"events: contains invalid events: {', '.join(unknown)}"))
    if secret is not None:
        wrong = endpoint_secrets.fault_of(secret, dialect)
        if wrong is not None:
            faults.append(Fault("secret", "INVALID_SECRET", wrong))
    if entrusted is not None:
        faults += entrusted.faults()
    return [*faults, *_option_faults(options)]


def _option_faults(options: Options) -> Iterator[Fault]:
    def wrong(field: str, text: str) -> Fault:
        return Fault(field, "VALIDATION_FAILED", text)

    if options.description is not None and len(options.description) > DESCRIPTION_CHARACTERS_MAX:
        yield wrong("description", f"description must be at most {DESCRIPTION_CHARACTERS_MAX} characters")
    if options.schedule is not None and not is_valid_override(options.schedule):
        yield wrong("retry_schedule", "retry_schedule is invalid")
    if options.timeout_s is not None and not 1 <= options.timeout_s <= TIMEOUT_MAX_S:
        yield wrong("timeout_seconds", "timeout_seconds is invalid")
    if not 1 <= options.max_in_flight <= IN_FLIGHT_MAX:
        yield wrong("max_concurrency", f"max_concurrency must be between 1 and {IN_FLIGHT_MAX}")
    if options.rate_per_s is not None and not RATE_MIN <= options.rate_per_s <= RATE_MAX:
        yield wrong("rate_per_s", f"rate_per_s must be between {RATE_MIN} and {RATE_MAX:.0f}")
    if options.burst is not None and not 1 <= options.burst <= BURST_MAX:
        yield wrong("burst", f"burst must be between 1 and {BURST_MAX}")
    if len(options.notify) > ADDRESSES_NOTIFIED_MAX or not all(map(_MAIL.fullmatch, options.notify)):
        yield wrong("notify", f"notify must be at most {ADDRESSES_NOTIFIED_MAX} mail addresses")
    if options.ca_bundle is not None and not _is_bundle(options.ca_bundle):
        yield wrong("ca_bundle", f"ca_bundle must be PEM certificates of at most {CA_BUNDLE_BYTES_MAX // 1024} KiB")
    for text in conditions.faults_of(options.conditions):
        yield wrong("conditions", text)


def _is_bundle(text: str) -> bool:
    if len(text.encode()) > CA_BUNDLE_BYTES_MAX:
        return False
    try:
        context_for(TlsProfile(roots=text))
    except (BadProfile, ValueError):
        return False
    return True


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
