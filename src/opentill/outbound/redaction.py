"""What logs and screens may show of a call (webhooks.md §9.2)."""

from collections.abc import Container
from typing import Final

from opentill.outbound.model import Headers

HIDDEN: Final = "•••"
_HIDDEN_IN_ANSWERS: Final = frozenset({"set-cookie", "authorization", "www-authenticate"})


def request_headers(headers: Headers, custom: Container[str] = frozenset()) -> tuple[tuple[str, str], ...]:
    """Return request headers without the values of `Authorization` and of *custom* (names in lower case).

    Signatures stay: they are not secret, and whoever looks for a fault needs them.
    """
    return tuple(
        (name, HIDDEN if name.lower() == "authorization" or name.lower() in custom else value)
        for name, value in headers
    )


def answer_headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return an answer's headers without cookies and credentials."""
    return tuple((name, HIDDEN if _is_hidden(name.lower()) else value) for name, value in headers)


def _is_hidden(name: str) -> bool:
    return name in _HIDDEN_IN_ANSWERS or name.startswith("proxy-")
