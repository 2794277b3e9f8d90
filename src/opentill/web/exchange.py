"""One HTTP exchange: the call as an API sees it, and its answer as prepared bytes.

Thinner than a framework's request and response, because these are made for every request and most of what those
offer is not needed: the documents fix every header and byte.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from opentill.kernel.clock import Instant
from opentill.merchants.request_log import Caller
from opentill.web.rate_limit import Standing

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """A status, the bytes of a body, the headers that only this answer has, and what the body is: JSON but once."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    media_type: bytes = b"application/json"


class Call:
    """What was asked: filled in by each check of an API as it passes."""

    __slots__ = (
        "address",
        "arrived_at",
        "body",
        "caller",
        "caller_name",
        "code",
        "headers",
        "idempotency_key",
        "method",
        "operation",
        "path",
        "query_string",
        "replayed",
        "request_id",
        "standing",
        "values",
    )

    def __init__(self, scope: Mapping[str, Any], *, arrived_at: Instant) -> None:
        self.method: str = scope["method"]
        self.path = _below(scope["path"], scope.get("root_path", ""))
        self.query_string: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.arrived_at = arrived_at
        self.request_id = ""
        self.address = ""
        self.body = b""
        self.operation: str | None = None  # the path as documented, e.g. `/payments/{payment_id}`
        self.values: dict[str, str] = {}  # what stands in its braces
        self.standing: Standing | None = None
        self.caller_name: str | None = None  # a key's public prefix or a client id; never a secret
        self.caller: Caller | None = None  # whose request log it belongs to, also where the key is no longer good
        self.code = ""  # why it was refused
        self.idempotency_key: str | None = None
        self.replayed = False

    def header(self, name: bytes) -> str | None:
        """Return a header's value, trimmed; the last one if it was sent more than once."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def query(self) -> dict[str, str]:
        """Return the parameters of the query; the last one of a name counts. U+0000 becomes U+FFFD."""
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True, errors="replace")
        return {name: value.replace("\0", "\ufffd") for name, value in pairs}


def printable(text: str, *, characters_max: int) -> bool:
    """Tell whether a header's text is 1 to *characters_max* printable ASCII characters."""
    return 0 < len(text) <= characters_max and text.isascii() and text.isprintable()


def _below(path: str, root_path: str) -> str:
    """Return a path below where the application is mounted, without one trailing slash."""
    if root_path and path.startswith(root_path):
        path = path[len(root_path) :]
    return path[:-1] if path.endswith("/") and len(path) > 1 else path
