"""What logs and screens may show of a call (webhooks.md §9.2)."""

from collections.abc import Container
from typing import Final

from opentill.outbound.model import Headers
from opentill.outbound.urls import Target, read_url

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


def url_for_process_logs(url: str) -> str:
    """Return scheme, host and port: all of a URL that logs, metrics and traces may hold."""
    target = read_url(url)
    return target.origin if isinstance(target, Target) else ""


def url_without_query_values(url: str) -> str:
    """Return a URL for those who are not the endpoint's owner: `https://shop.example/hook?token=•••`."""
    base, mark, query = url.partition("?")
    if not mark:
        return url
    pairs = (pair.partition("=") for pair in query.split("&"))
    return f"{base}?{'&'.join(f'{name}={HIDDEN}' if equals else name for name, equals, _ in pairs)}"
