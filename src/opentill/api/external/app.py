"""/api/external: the pipeline of pix-api.md §2 in its order, then the operation."""

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import ClassVar, Final

from opentill.api.external import errors
from opentill.api.external.call import KEY_MAX, ExternalCall
from opentill.api.external.errors import Stopped
from opentill.api.external.key_case import CASES, EqualKeysError, snake
from opentill.api.external.operations import OPERATIONS
from opentill.api.external.signature import verifies
from opentill.kernel.asgi import Receive, Scope
from opentill.kernel.errors import Refused
from opentill.kernel.mode import Mode
from opentill.merchants import service as merchants
from opentill.merchants.model import PixCredential
from opentill.merchants.request_log import Caller
from opentill.web import idempotency, json_body
from opentill.web.addresses import admitted
from opentill.web.callers import Callers
from opentill.web.dependencies import Dependencies
from opentill.web.edge import Edge, read_body
from opentill.web.exchange import Answer, Header, printable
from opentill.web.idempotency import Slot
from opentill.web.routes import PUBLIC, SANDBOX, Found, Operation, Routes, allowed

BODY_BYTES_MAX: Final = 256 * 1024
SIGNED: Final = frozenset({"POST", "PATCH"})
CONTENT_TYPE: Final = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)
PRESENTED_MAX: Final = 128  # characters of a client id or secret worth looking up
NO_CREDENTIALS: Final = "Missing API key credentials. Use Authorization: ApiKey <client_id>:<client_secret>"
BAD_CREDENTIALS: Final = "Invalid API key credentials"


class ExternalApi(Edge[ExternalCall]):
    """The PIX API as an ASGI application, to be mounted at /api/external."""

    surface: ClassVar[str] = "pix"

    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies, Routes(OPERATIONS))
        self._callers: Callers[PixCredential] = Callers()
        settings = dependencies.settings
        self._per_minute = settings.pix_rate_authenticated_per_minute
        self._failures_per_minute = settings.pix_rate_failed_per_minute
        self._compares = settings.pix_idempotency_body_check
        self._requests = dependencies.limits.counters("pix", open_at_failure=False)
        self._failures = dependencies.limits.counters("pix sign-in", open_at_failure=False)

    def called(self, scope: Scope) -> ExternalCall:
        call = ExternalCall(scope, self.dependencies, arrived_at=self.dependencies.clock.now())
        if sum(name == b"authorization" for name, _ in scope["headers"]) > 1:
            call.headers[b"authorization"] = b""  # two credentials are none
        return call

    async def answer(self, call: ExternalCall, receive: Receive) -> Answer:
        operation = _operation(self.routes.find(call.path), call)
        if isinstance(operation, Answer):
            return operation
        call.operation = operation.path
        if operation.permission is PUBLIC:
            return await operation.handle(call)
        body = await read_body(call, receive, bytes_max=BODY_BYTES_MAX)
        if body is None:
            raise Stopped(413, "Request body too large")

        _check_content_type(call, body)
        _read_key_case(call)
        secret = await self._authenticate(call)
        _check_mode(call, operation.permission)
        self._check_host(call)
        _check_address(call)
        if call.method in SIGNED:
            call.fields = _signed_fields(call, body, secret, must_sign=operation.must_sign)
        if operation.counted:
            await self._count(call)
        else:
            call.standing = None
        if call.method == "POST":
            call.slot = _slot(call, compares=self._compares)
        await self._authorise(call, operation.permission)

        call.operating = True
        return await operation.handle(call)

    def refused(self, call: ExternalCall, refusal: Refused) -> Answer:
        return errors.refused(call, refusal)

    def failed(self, call: ExternalCall) -> Answer:
        return errors.failed()

    def headers(self, call: ExternalCall) -> list[Header]:
        headers: list[Header] = [(b"x-request-id", call.request_id.encode()), (b"cache-control", b"no-store")]
        if call.standing is not None:
            headers.append((b"x-ratelimit-limit", b"%d" % call.standing.limit))
            headers.append((b"x-ratelimit-remaining", b"%d" % call.standing.remaining))
        if call.idempotency_key is not None:
            headers.append((b"idempotency-key", call.idempotency_key.encode()))
        return headers

    async def _authenticate(self, call: ExternalCall) -> str:
        """Recognise the credential and return the secret that was presented with it."""
        header = call.header(b"authorization")
        if header is None:
            raise await self._unknown(call, NO_CREDENTIALS)
        client_id, secret = _presented(header)
        now = call.arrived_at
        credential = None
        if printable(client_id, characters_max=PRESENTED_MAX) and printable(secret, characters_max=PRESENTED_MAX):
            credential = await self._callers.recognise(
                f"{client_id}:{secret}", now, lambda: self._look_up(client_id, secret, call)
            )
        if credential is not None:
            call.caller = Caller(credential.owner, credential.id)
        if credential is None or not credential.usable(now):
            raise await self._unknown(call, BAD_CREDENTIALS)
        call.credential = credential
        call.caller_name = credential.client_id
        call.standing = await self._requests.look(call.address, self._per_minute, now)
        return secret

    async def _look_up(self, client_id: str, secret: str, call: ExternalCall) -> PixCredential | None:
        keyring, now = self.dependencies.keyring, call.arrived_at
        return await self.dependencies.db.lookup(
            lambda tx: merchants.find_credential(tx, client_id, secret, keyring=keyring, now=now)
        )

    async def _unknown(self, call: ExternalCall, message: str) -> Stopped:
        """Return the 401, or the 429 of an address that failed too often in this minute."""
        standing = await self._failures.take(call.address, self._failures_per_minute, call.arrived_at)
        if standing.refused:
            return _too_many(standing.retry_after_s)
        return Stopped(401, message)

    def _check_host(self, call: ExternalCall) -> None:
        """An operator may give each mode a host name of its own."""
        settings, mode = self.dependencies.settings, call.by.owner.mode
        kept_for = {settings.pix_live_host: Mode.LIVE, settings.pix_sandbox_host: Mode.SANDBOX}
        named = (call.header(b"host") or "").partition(":")[0].lower()
        if named and kept_for.get(named, mode) is not mode:
            raise Stopped(403, "mode not allowed on this host")

    async def _count(self, call: ExternalCall) -> None:
        call.standing = await self._requests.take(call.address, self._per_minute, call.arrived_at)
        if call.standing.refused:
            raise _too_many(call.standing.retry_after_s)

    async def _authorise(self, call: ExternalCall, permission: str) -> None:
        if permission == SANDBOX or permission in call.by.permissions:
            return
        if call.slot is not None:  # a request that still runs under this key is answered first
            slot, keyring = call.slot, self.dependencies.keyring
            await self.dependencies.db.lookup(lambda tx: idempotency.look(tx, slot, keyring=keyring, now=call.key_now))
        raise Stopped(403, f"API key lacks permission: {permission}")


def _operation(found: Found[ExternalCall] | None, call: ExternalCall) -> Operation[ExternalCall] | Answer:
    if found is None:
        raise Stopped(404, "Not found")
    if call.method == "OPTIONS":
        return Answer(204, b"", ((b"allow", allowed(found.methods)),))
    operation = found.methods.get("GET" if call.method == "HEAD" else call.method)
    if operation is None:
        raise Stopped(405, "Method not allowed", ((b"allow", allowed(found.methods)),))
    call.values = found.values
    return operation


def _check_content_type(call: ExternalCall, body: bytes) -> None:
    if call.method in SIGNED and body and not CONTENT_TYPE.fullmatch(call.header(b"content-type") or ""):
        raise Stopped(415, "Unsupported Content-Type. Use application/json")


def _read_key_case(call: ExternalCall) -> None:
    case = call.header(b"x-key-case")
    if case is not None and case not in CASES:
        raise Stopped(400, "Unsupported X-Key-Case value")
    call.camel = case == "camelCase"


def _presented(header: str) -> tuple[str, str]:
    """Return the client id and secret of an Authorization header, empty where it has none."""
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "apikey":
            client_id, _, secret = rest.strip().partition(":")
            return client_id, secret
        case "basic":
            try:
                client_id, _, secret = b64decode(rest.strip(), validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return "", ""
            return client_id, secret
        case _:
            return "", ""


def _check_mode(call: ExternalCall, permission: str) -> None:
    """For live credentials there is no sandbox."""
    if permission == SANDBOX and call.by.owner.mode is Mode.LIVE:
        raise Stopped(404, "Not found")


def _check_address(call: ExternalCall) -> None:
    credential = call.by
    if credential.check_ips:
        _check_listed(call.address, credential.allowed_ips)
    if credential.merchant.status != "active":
        raise Stopped(403, "account inactive")


def _check_listed(address: str, entries: Sequence[str]) -> None:
    if not entries:
        raise Stopped(403, "ip whitelist required")
    if not admitted(address, tuple(entries)):
        raise Stopped(403, "ip not allowed")


def _signed_fields(call: ExternalCall, body: bytes, secret: str, *, must_sign: bool) -> dict[str, object]:
    """Return the fields of a body whose digest is right. A missing header answers before bad JSON, a wrong after."""
    header = call.header(b"hmac")
    if header is None and must_sign:
        raise Stopped(401, "Missing HMAC header")
    fields = json_body.read(body, depth_max=json_body.DEPTH_MAX_PIX, repeated_keys=False) if body else {}
    if not isinstance(fields, dict):
        raise json_body.MalformedJson("The request body must be one JSON object.")
    if header is not None and not verifies(header, body, fields, secret):
        raise Stopped(401, "Invalid HMAC signature")
    if not call.camel:
        return fields
    try:
        renamed: dict[str, object] = snake(fields)
    except EqualKeysError:
        raise json_body.MalformedJson("Two keys of the request body are the same.") from None
    return renamed


def _slot(call: ExternalCall, *, compares: bool) -> Slot | None:
    raw = call.headers.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if len(key) > KEY_MAX:
        raise Stopped(400, f"Idempotency-Key must be at most {KEY_MAX} characters")
    if not printable(key, characters_max=KEY_MAX):
        raise Stopped(400, "Idempotency-Key is invalid")
    scope = f"{call.method} {call.path}"
    same = idempotency.fingerprint(call.method, call.path, json_body.canonical(call.fields))
    return Slot(call.by.owner, "pix", key, same, scope=scope, compares=compares)


def _too_many(retry_after_s: int) -> Stopped:
    return Stopped(429, "Too many requests", ((b"retry-after", b"%d" % min(retry_after_s, 60)),))
