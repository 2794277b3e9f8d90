"""Notifications of banks: `POST /hooks/pix/{account}/{token}` (pix-rail.md §6.7).

A notification is a hint. It is stored as it came and answered at once; what it speaks of is then read at the bank.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from contextlib import suppress
from typing import Final
from urllib.parse import unquote_to_bytes

import structlog

from opentill.db import DatabaseError, ReadTx
from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.errors import Busy, Refused
from opentill.kernel.failpoints import reach
from opentill.pix import service
from opentill.pix.model import Account
from opentill.pix.port import Hint, RawRequest, UnreadableNotification, UntrustedNotification
from opentill.web import metrics
from opentill.web.addresses import admitted, caller_address
from opentill.web.body import CallerGone, read_whole
from opentill.web.dependencies import Dependencies

BODY_BYTES_MAX: Final = 1024 * 1024
# Banks append a resource to the address they were given, whatever it ends in.
ADDRESS: Final = re.compile(r"/hooks/pix/([0-9]{1,15})/([0-9a-f]{64})(?:/(?:pix|rec|cobr))?/?", re.ASCII)

log = structlog.get_logger("opentill.callbacks")


class PixCallbacks:
    """The ASGI application behind `/hooks/pix/`."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status = await self._answer(scope, receive)
        except CallerGone:
            return
        body = b'{"received":true}' if status == 200 else b'{"received":false}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers.append((b"cache-control", b"no-store"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> int:
        """Return the status. Of a request whose address or sender is wrong nothing is kept but a count."""
        address = ADDRESS.fullmatch(scope["path"])
        if address is None or scope["method"] != "POST":
            return 404
        body = await read_whole(receive, bytes_max=BODY_BYTES_MAX)
        if body is None:
            return 413
        try:
            account = await self._account(int(address[1]), address[2])
            if account is None:
                metrics.notification_refused("token")
                return 401
            hints = self._hints(account, scope, body)
            now = self._dependencies.clock.now()
            await self._dependencies.db.write(lambda tx: service.note_notification(tx, account, body, hints, now=now))
            reach("notification.stored")
        except UntrustedNotification as untrusted:
            metrics.notification_refused("sender")
            log.warning("untrusted notification", account=int(address[1]), reason=str(untrusted))
            return 401
        except (DatabaseError, Busy):
            return 503
        return 200

    async def _account(self, account_id: int, token: str) -> Account | None:
        def find(tx: ReadTx) -> Account | None:
            return service.find_account_by_hook(tx, account_id, token, keyring=self._dependencies.keyring)

        return await self._dependencies.db.lookup(find)

    def _hints(self, account: Account, scope: Scope, body: bytes) -> list[Hint]:
        """Return what to read; of a body nobody understands only the bytes are kept, and an operator is told."""
        request, hints, understood = self._request(scope, body), list[Hint](), False
        for bank in (self._dependencies.receiver, self._dependencies.payer):
            with suppress(UnreadableNotification, Refused):  # it is kept also while nobody here reaches the bank
                hints += bank(account).parse_notification(request)
                understood = True
        if not understood:
            log.warning("unreadable notification", account=account.id, size_bytes=len(body))
        return hints

    def _request(self, scope: Scope, body: bytes) -> RawRequest:
        """Return a request with who sent it. What a proxy says of its caller counts only from a trusted one."""
        settings = self._dependencies.settings
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        certificate = None
        if settings.client_certificate_header and admitted(caller_address(peer, (), ()), settings.proxy_entries):
            certificate = presented(headers.get(settings.client_certificate_header.lower(), ""))
        return RawRequest(body, headers, caller_address(peer, forwarded, settings.proxies), certificate)


def presented(header: str) -> bytes | None:
    """Return the certificate in a proxy's header: escaped PEM, or base64 with or without colons (RFC 9440)."""
    if header.startswith("-----BEGIN"):
        return unquote_to_bytes(header)
    try:
        return b64decode(header.strip(":"), validate=True) or None
    except (NotBase64, ValueError):
        return None
