"""An HTTP client for ASGI applications: what uvicorn would hand over, and what it would send back."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

App = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Response:
    """A received answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: App,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
    body: bytes | list[bytes] = b"",
    peer: str | None = "203.0.113.9",
    root: str = "",
) -> Response:
    """Send one request and return the answer. A list of bodies arrives in as many parts."""
    path, _, query = target.partition("?")
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    parts = body if isinstance(body, list) else [body]
    if not isinstance(body, list) and body:
        pairs.append(("content-length", str(len(body))))
    scope: MutableMapping[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root + unquote(path),
        "raw_path": (root + path).encode("utf-8", "surrogatepass"),
        "root_path": root,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": (peer, 40_000) if peer else None,
        "server": ("127.0.0.1", 8000),
    }
    incoming = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)
    ]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    received = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(received) == len(sent[0]["headers"]), "a header was sent twice"
    return Response(sent[0]["status"], received, sent[1]["body"])


def declined(answer: Response, status: int, detail: str) -> None:
    """Expect the PIX API's answer to what it does not do."""
    assert (answer.status, answer.json()) == (status, {"worked": False, "detail": detail})
