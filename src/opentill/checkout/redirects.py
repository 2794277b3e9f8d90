"""Where the payer goes back to (merchant-api.md §11.3).

The merchant's own query stays byte for byte; ours follows it, before a fragment. A parameter the merchant has set is
never set again: a shop that put its own `order_id` into the address must find that one.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_plus, urlsplit

ESCAPED_AMPERSAND: Final = re.compile(r"&(?:amp|#0*38);", re.IGNORECASE)
ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Return the merchant's address with those of our parameters it does not have yet."""
    place, hash_, fragment = _unescaped(url).partition("#")
    query = place.partition("?")[2]
    taken = {unquote_plus(pair.partition("=")[0]) for pair in query.split("&")}
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if name not in taken)
    if not added:
        return place + hash_ + fragment
    return place + _joint(place) + added + hash_ + fragment


def origin_of(url: str) -> str | None:
    """Return scheme, host and port for a content policy; None where they hold anything but a plain host name."""
    parts = urlsplit(_unescaped(url))
    host = parts.netloc.rpartition("@")[2].lower()
    origin = f"{parts.scheme}://{host}"
    return origin if ORIGIN.fullmatch(origin) else None


def _joint(place: str) -> str:
    if "?" not in place:
        return "?"
    return "" if place.endswith(("?", "&")) else "&"


def _unescaped(url: str) -> str:
    """Read `&amp;` and `&#038;` as `&`: some shops send their address as HTML."""
    return ESCAPED_AMPERSAND.sub("&", url)
