"""Callbacks of gateways: `/webhook/{gateway}` and `/webhook/{gateway}/{merchant}` (merchant-api.md §13).

Whose request it is, the signature decides: only a merchant's own secret makes it theirs. What is authentic is kept and
applied in one transaction; a fault on our side answers 500 or 503, so that the provider comes again.
"""

import hashlib
import json
import re
import time
from typing import Final, cast

import structlog

from opentill.db import DatabaseError
from opentill.gateways.port import CallbackRequest, Caller, NotAuthentic
from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.errors import Busy
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.merchants import gateways
from opentill.payments.inbound import queries, service
from opentill.payments.inbound.model import Callback, Place
from opentill.web import metrics
from opentill.web.addresses import admitted, caller_address
from opentill.web.body import CallerGone, read_whole
from opentill.web.dependencies import Dependencies

BODY_BYTES_MAX: Final = 1024 * 1024
ADDRESS: Final = re.compile(r"/webhook/([a-z0-9][a-z0-9_-]{0,59})(?:/([a-z0-9-]{1,80}))?/?", re.ASCII)
EVENT_ID_MAX: Final = 200  # characters; a longer name of the provider's is kept as its hash
CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
HEADERS_MAX: Final = 8 * 1024  # characters of them that are kept

log = structlog.get_logger("opentill.callbacks")


class GatewayCallbacks:
    """The ASGI application behind `/webhook/`."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            status, more = await self._answered(scope, receive)
        except CallerGone:
            return
        body = b'{"received":true}' if status == 200 else b'{"received":false}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(b"cache-control", b"no-store"), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        metrics.observe("callbacks", scope["method"], "/webhook/{gateway}", status, time.perf_counter() - started)

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]]]:
        try:
            return await self._answer(scope, receive)
        except (DatabaseError, Busy):
            return 503, [(b"retry-after", b"5")]
        except CallerGone:
            raise
        except Exception:  # whatever it is, it is our bug: the provider comes again, the log has the rest
            log.exception("unexpected error", surface="callbacks")
            return 500, []

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return the status and headers of its own. Nothing is stored of a request that is nobody's."""
        address = ADDRESS.fullmatch(scope["path"])
        gateway = self._gateway(address[1]) if address else None
        if address is None or gateway is None:
            return 404, []
        if scope["method"] not in gateway.callback_methods:
            return 405, [(b"allow", ", ".join(sorted(gateway.callback_methods)).encode())]
        body = await read_whole(receive, bytes_max=BODY_BYTES_MAX)
        if body is None:
            return 413, []
        request = _request(scope, body)
        place = await self._place(address[1], address[2], gateway, request)
        if place is None:
            return 404, []
        if place.networks and not admitted(self._caller(scope), place.networks):
            return 403, []
        return await self._take(address[1], gateway, place.owner, request, scope["path"]), []

    def _gateway(self, slug: str) -> Caller | None:
        gateway = self._dependencies.gateways.get(slug)
        if gateway is None or "callback" not in gateway.capabilities:
            return None
        return cast(Caller, gateway)  # the capability says so

    async def _place(self, slug: str, merchant: str | None, gateway: Caller, request: CallbackRequest) -> Place | None:
        """Return whose address it is, or else whose session the request names."""
        lookup = self._dependencies.db.lookup
        if merchant:
            return await lookup(lambda tx: queries.place_by_slug(tx, merchant, slug))
        session = gateway.named_session(request)
        return await lookup(lambda tx: queries.place_by_session(tx, session, slug)) if session else None

    async def _take(self, slug: str, gateway: Caller, owner: Owner, request: CallbackRequest, path: str) -> int:
        deps = self._dependencies
        now = deps.clock.now()
        name = hashlib.sha256(request.body).hexdigest()
        callback = Callback(
            owner,
            slug,
            name,
            request.method,
            deps.settings.public_url + path,
            _kept(request),
            request.body,
            now,
        )
        try:
            news = gateway.verify_callback(request, gateways.callback_secret(slug, owner=owner, keyring=deps.keyring))
        except NotAuthentic as doubt:
            why = str(doubt)
            await deps.db.write(lambda tx: service.reject(tx, callback, why, status=403, ids=deps.ids))
            return 403
        named = callback.named(news.event_id, longest=EVENT_ID_MAX)
        known = await deps.db.write(
            lambda tx: service.take(tx, named, news, ids=deps.ids, keyring=deps.keyring, now=now)
        )
        reach("callback.taken")
        return 200 if known else 404

    def _caller(self, scope: Scope) -> str:
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = scope["client"][0] if scope.get("client") else None
        return caller_address(peer, forwarded, self._dependencies.settings.proxies)


def _request(scope: Scope, body: bytes) -> CallbackRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return CallbackRequest(scope["method"], body, headers, scope["query_string"])


def _kept(request: CallbackRequest) -> str:
    """Return the headers as they are kept: without credentials, and not more than fits."""
    shown = {name: value for name, value in request.headers.items() if name not in CREDENTIALS}
    written = json.dumps(shown)
    return written if len(written) <= HEADERS_MAX else "{}"
