"""How the clients reach a server: one request, one answer with its headers in lower case."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.contract.api.client import Response

# method, target as written, headers, body
Transport = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Response]]
Json = dict[str, Any]
