"""Operations and the way to them. Each API owns its table, because the documents fix the order of checks around it."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar

from opentill.web.exchange import Answer, Call

C = TypeVar("C", bound=Call)

PUBLIC: Final = ""  # the permission of what needs no credential
SANDBOX: Final = "sandbox"  # the permission of what every sandbox credential of the PIX API may do, and no live one
FEED: Final = "feed"  # the permission of reading a feed: a key with `read`, or the feed's own token


@dataclass(frozen=True, slots=True)
class Operation(Generic[C]):
    """One call an API offers. *document* is its OpenAPI operation object."""

    method: str
    path: str
    handle: Callable[[C], Awaitable[Answer]]
    permission: str
    document: Mapping[str, Any] = field(default_factory=dict)
    failure: str = "INTERNAL_ERROR"  # the merchant API's code where this operation breaks
    counted: bool = True  # by the rate limit of the PIX API
    must_sign: bool = True  # where the PIX API wants signatures; others are verified if they are sent


class Found(NamedTuple, Generic[C]):
    """The operations of a path by method, and what its braces hold."""

    methods: dict[str, Operation[C]]
    values: dict[str, str]


class Routes(Generic[C]):
    """Finds the operations of a path."""

    def __init__(self, operations: Iterable[Operation[C]]) -> None:
        self.operations = tuple(operations)
        by_path: dict[str, dict[str, Operation[C]]] = {}
        for operation in self.operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        self._fixed = {path: Found(methods, {}) for path, methods in by_path.items() if "{" not in path}
        self._open = [(_pattern(path), methods) for path, methods in by_path.items() if "{" in path]

    def find(self, path: str) -> Found[C] | None:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        for pattern, methods in self._open:
            if matched := pattern.fullmatch(path):
                return Found(methods, matched.groupdict())
        return None


def allowed(methods: Iterable[str]) -> bytes:
    """Return the value of an Allow header."""
    names = {*methods, "OPTIONS"}
    if "GET" in names:
        names.add("HEAD")
    return ", ".join(sorted(names)).encode()


def _pattern(path: str) -> re.Pattern[str]:
    """`/payments/{payment_id}` becomes a pattern; a segment is anything without a slash and U+0000."""
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/\\0]+)", path), re.DOTALL)
