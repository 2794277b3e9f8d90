"""/.well-known/webhooks: the keys that sign a merchant's deliveries, for whoever verifies them (webhooks.md §6.4).

No authentication and no personal data: public keys, by the merchant's public id.
"""

import json
import re
from typing import Final
from urllib.parse import parse_qs

from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.mode import Mode
from opentill.web.dependencies import Dependencies
from opentill.webhooks import queries
from opentill.webhooks.signing_keys import jwks, jwks_path

FRESH_S: Final = 300
_MERCHANT: Final = re.compile(r"[0-9a-f-]{36}")
_NOT_FOUND: Final = b'{"error":"not found"}'


class WellKnownKeys:
    """Answers GET requests for key sets."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._keys(scope) if scope["method"] in ("GET", "HEAD") else None
        headers = [(b"content-type", b"application/json")]
        if body is not None:
            headers.append((b"cache-control", f"public, max-age={FRESH_S}".encode()))
        await send({"type": "http.response.start", "status": 404 if body is None else 200, "headers": headers})
        await send({"type": "http.response.body", "body": _NOT_FOUND if body is None else body})

    async def _keys(self, scope: Scope) -> bytes | None:
        named = _MERCHANT.search(scope["path"])
        merchant = named[0] if named else None
        if scope["path"] != jwks_path(merchant):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        mode = Mode.SANDBOX if query.get("mode") == ["sandbox"] else Mode.LIVE
        deps = self._dependencies
        now = deps.clock.now()
        found = await deps.db.read(lambda tx: queries.published_keys(tx, merchant, mode, now=now))
        return None if found is None else json.dumps(jwks(found), separators=(",", ":")).encode()
