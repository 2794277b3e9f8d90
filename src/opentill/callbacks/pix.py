"""Notifications of banks: `POST /hooks/pix/{account}/{token}` (pix-rail.md §6.7).

A notification is a hint. It is stored as it came and answered at once; what it speaks of is then read at the bank.
"""

import re
from typing import Final

import structlog

from opentill.db import DatabaseError, ReadTx
from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.errors import Busy
from opentill.pix import service
from opentill.pix.model import Account
from opentill.pix.port import Hint, RawRequest, UnreadableNotification
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
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), (b"cache-control", b"no-store")],
            }
        )
        body = b'{"received":true}' if status == 200 else b'{"received":false}'
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> int:
        """Return the status. Nothing is stored of a request whose address is wrong."""
        address = ADDRESS.fullmatch(scope["path"])
        if address is None or scope["method"] != "POST":
            return 404
        body = await read_whole(receive, bytes_max=BODY_BYTES_MAX)
        if body is None:
            return 413
        try:
            account = await self._account(int(address[1]), address[2])
            if account is None:
                return 401
            hints = self._hints(account, scope, body)
            now = self._dependencies.clock.now()
            await self._dependencies.db.write(lambda tx: service.note_notification(tx, account, body, hints, now=now))
        except (DatabaseError, Busy):
            return 503
        return 200

    async def _account(self, account_id: int, token: str) -> Account | None:
        def find(tx: ReadTx) -> Account | None:
            return service.find_account_by_hook(tx, account_id, token, keyring=self._dependencies.keyring)

        return await self._dependencies.db.read(find)

    def _hints(self, account: Account, scope: Scope, body: bytes) -> list[Hint]:
        """Return what to read; of a body nobody understands only the bytes are kept, and an operator is told."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            return self._dependencies.receiver(account).parse_notification(RawRequest(body, headers))
        except UnreadableNotification:
            log.warning("unreadable notification", account=account.id, size_bytes=len(body))
            return []
