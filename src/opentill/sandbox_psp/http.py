"""Requests and answers of the bank, over bare ASGI: a bank that lives in its client's process must be light."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.json_text import compact, read_exact
from opentill.sandbox_psp.problems import Problem

BODY_BYTES_MAX: Final = 1_048_576


@dataclass
class Request:
    """One request. *parts* are the segments of its path, decoded."""

    method: str
    parts: list[str]
    target: str
    query_string: str
    headers: dict[str, str]
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @cached_property
    def document(self) -> dict[str, Any]:
        """The JSON object of the body. Raises the problem `RequisicaoInvalida`."""
        try:
            document = read_exact(self.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Problem("RequisicaoInvalida")
        return document


@dataclass(slots=True)
class Answer:
    """What is sent back. A status of 0 breaks the connection instead, as a time-out would."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


BROKEN: Final = Answer(0)


def json_answer(status: int, document: object, content_type: str = "application/json") -> Answer:
    """Return a JSON answer."""
    return Answer(status, compact(document), content_type)


def render(document: object) -> str:
    """Return compact JSON."""
    return compact(document).decode()


async def read_request(scope: Scope, receive: Receive) -> Request | None:
    """Return the whole request, or None when its body is longer than any bank takes."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            break
    path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return Request(
        method=scope["method"],
        parts=[unquote(part) for part in path.strip("/").split("/")],
        target=f"{path}?{query}" if query else path,
        query_string=query,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer; a broken one begins and never ends, upon which a server closes the connection."""
    broken = answer.status == 0
    length = 1 if broken else len(answer.body)
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(length).encode())]
    status = 500 if broken else answer.status
    await send({"type": "http.response.start", "status": status, "headers": headers + answer.headers})
    if not broken:
        await send({"type": "http.response.body", "body": answer.body})
