"""Calling a running OpenTill from the command line, and pressing the buttons of its pages as a payer would."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urljoin

from opentill.cli.forms import find_form
from opentill.kernel.errors import Refused
from opentill.outbound import AllowList, Outbound, Ports
from opentill.outbound.model import READ_BYTES_MAX, Answer, OutboundRequest

CALL_S: Final = 20.0
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the API."""

    status: int
    fields: Mapping[str, Any]

    @property
    def data(self) -> Any:
        return self.fields.get("data")


class Client:
    """One API key at one OpenTill. It calls whom its user names, on this machine too."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._outbound = Outbound(allow=AllowList.development(), ports=Ports.parse("1-65535"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._outbound.close()

    async def call(self, method: str, path: str, fields: Any = None, *, timeout_s: float = CALL_S) -> Said:
        """Call the merchant API. Raises `Refused` where nobody answers."""
        headers = [("Authorization", f"Bearer {self._key}"), ("Content-Type", "application/json")]
        body = None if fields is None else json.dumps(fields).encode()
        answer = await self.send(method, f"{self._url}/api/v1{path}", headers, body, timeout_s=timeout_s)
        if answer.status is None:
            raise Refused("NOT_REACHED", f"{self._url} does not answer: {answer.error_text}")
        try:
            read = json.loads(answer.body_kept)
        except ValueError:
            read = {}
        return Said(answer.status, read if isinstance(read, dict) else {})

    async def must(self, method: str, path: str, fields: Any = None) -> Said:
        """Call the merchant API and insist. Raises `Refused` with what it says."""
        said = await self.call(method, path, fields)
        if said.status >= 300:
            told = said.fields.get("message", "no message")
            raise Refused(str(said.fields.get("code", "REFUSED")), f"{method} {path} answered {said.status}: {told}")
        return said

    async def pix(self, path: str, fields: Mapping[str, Any], *, client_id: str, secret: str) -> Said:
        """Post to the PIX API, signed with a credential."""
        body = json.dumps(fields).encode()
        headers = [
            ("Authorization", f"ApiKey {client_id}:{secret}"),
            ("hmac", hmac.digest(secret.encode(), body, "sha512").hex()),
            ("Content-Type", "application/json"),
        ]
        answer = await self.send("POST", f"{self._url}/api/external{path}", headers, body)
        try:
            read = json.loads(answer.body_kept)
        except ValueError:
            read = {}
        return Said(answer.status or 503, read if isinstance(read, dict) else {})

    async def send(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | None = None,
        *,
        timeout_s: float = CALL_S,
    ) -> Answer:
        """Make one request, whatever comes of it."""
        return await self._outbound.send(
            OutboundRequest(
                method=method,
                url=url,
                headers=headers,
                body=body,
                timeout_s=timeout_s,
                plain_http=True,
                read_limit=READ_BYTES_MAX,
                keep_limit=READ_BYTES_MAX,
                body_s=timeout_s,
                keep_private_answer=True,
            )
        )

    async def press(self, page_url: str, *, form_ends_with: str, **button: str) -> None:
        """Open a page and press a button of one of its forms. Raises `Refused` where there is no such form."""
        page = await self.send("GET", page_url, [])
        action, fields = find_form(page.body_kept.decode(errors="replace"), form_ends_with)
        if not action:
            raise Refused("NO_SUCH_BUTTON", f"the page {page_url} has no form for {form_ends_with}")
        body = urlencode({**fields, **button}).encode()
        await self.send("POST", urljoin(page_url, action), [("Content-Type", FORM)], body)
