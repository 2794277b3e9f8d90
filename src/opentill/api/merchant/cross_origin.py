"""Which browsers may read answers: none, unless operators list their origins (merchant-api.md §1.1)."""

from typing import Final

from opentill.api.merchant.call import MerchantCall
from opentill.web.exchange import Header

ALLOWED_HEADERS: Final = b"Authorization, Content-Type, Idempotency-Key, X-Request-ID"
READABLE_HEADERS: Final = (
    b"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID, X-API-Version, "
    b"Idempotent-Replayed, Retry-After"
)
VARY: Final[Header] = (b"vary", b"User-Agent, Accept, Origin")
REMEMBERED_S: Final = b"600"


def headers(call: MerchantCall) -> tuple[Header, ...]:
    """Return what lets the caller's origin read an answer, where it is listed."""
    origin = _listed(call)
    if origin is None:
        return (VARY,)
    return VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", READABLE_HEADERS)


def preflight(call: MerchantCall, allow: bytes) -> tuple[Header, ...]:
    """Return what a browser asks before it sends a request, where its origin is listed."""
    if _listed(call) is None:
        return ()
    return (
        (b"access-control-allow-methods", allow),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", REMEMBERED_S),
    )


def _listed(call: MerchantCall) -> bytes | None:
    origin = call.header(b"origin")
    return origin.encode() if origin is not None and origin in call.switches.cors_origins else None
