"""/api/v1: the checks of merchant-api.md §1.3 in their order, then the operation."""

from typing import Any, ClassVar, Final

from opentill.api.merchant import cross_origin, errors
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.errors import Stopped
from opentill.api.merchant.once import replay
from opentill.api.merchant.operations import OPERATIONS
from opentill.kernel.asgi import Receive, Scope
from opentill.kernel.clock import HOUR, Instant
from opentill.kernel.errors import Invalid, Refused
from opentill.merchants import service as merchants
from opentill.merchants.model import ApiKey
from opentill.merchants.request_log import Caller
from opentill.operators import install
from opentill.web import idempotency, json_body
from opentill.web.addresses import admitted
from opentill.web.callers import Callers
from opentill.web.dependencies import Dependencies
from opentill.web.edge import Edge, read_body
from opentill.web.exchange import Answer, Header, printable
from opentill.web.idempotency import AnsweredLately, Finished, Slot
from opentill.web.rate_limit import Standing, full
from opentill.web.routes import FEED, PUBLIC, Operation, Routes, allowed
from opentill.web.switches import Switches

BODY_BYTES_MAX: Final = 1024 * 1024
MAINTENANCE_S: Final = 60  # after which a caller is told to try again
KEY_MAX: Final = 255  # characters of an Idempotency-Key
ADMIN: Final = frozenset({"write", "admin"})  # what managing keys takes
NO_FIELDS: Final[tuple[object, ...]] = (None, [], {})
BODILESS: Final = frozenset({"GET", "HEAD"})
FIXED_HEADERS: Final[tuple[Header, ...]] = (
    (b"x-api-version", b"1.0"),
    (b"cache-control", b"no-store"),
)
PLAIN_VARY: Final[tuple[Header, ...]] = ((b"vary", b"User-Agent, Accept"),)


class MerchantApi(Edge[MerchantCall]):
    """The merchant API as an ASGI application, to be mounted at /api/v1."""

    surface: ClassVar[str] = "merchant"

    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies, Routes(OPERATIONS))
        self._callers: Callers[ApiKey] = Callers()
        self._counters = dependencies.limits.counters("merchant", open_at_failure=True)
        self._switches = Switches(dependencies.db)
        self._lately = AnsweredLately()

    def called(self, scope: Scope) -> MerchantCall:
        now = self.dependencies.clock.now()
        return MerchantCall(scope, self.dependencies, arrived_at=now, forget_callers=self._callers.forget)

    async def answer(self, call: MerchantCall, receive: Receive) -> Answer:
        body = await read_body(call, receive, bytes_max=BODY_BYTES_MAX)
        call.switches = await self._switches.now(call.arrived_at)
        if call.switches.maintenance:
            raise Stopped(503, "MAINTENANCE", "This gateway is being maintained.", retry_after_s=MAINTENANCE_S)
        objection = await self._identify(call)
        call.standing = await self._count(call)
        if body is None:
            raise Stopped(413, "PAYLOAD_TOO_LARGE", "The request body must have at most 1 MiB.")
        if call.standing.refused:
            raise _too_many(call.standing)

        found = self.routes.find(call.path)
        if found is None:
            raise Stopped(404, "NOT_FOUND", "There is no such address in this API.")
        operation = found.methods.get("GET" if call.method == "HEAD" else call.method)
        if call.method == "OPTIONS":
            allow = allowed(found.methods)
            return Answer(204, b"", ((b"allow", allow), *cross_origin.preflight(call, allow)))
        if operation is None:
            raise _method_not_allowed(call.method, allowed(found.methods))
        call.operation, call.failure, call.values = operation.path, operation.failure, found.values

        if operation.permission is PUBLIC or (operation.permission is FEED and call.key is None):
            return await operation.handle(call)
        if objection is not None:
            raise objection
        _authorise(call, "read" if operation.permission is FEED else operation.permission)
        if operation.permission == "admin":
            await self._check_super_admin(call)
        if call.method not in BODILESS:
            call.fields = _fields(body)
            call.slot = _slot(call)
        return await self._once(call, operation)

    def refused(self, call: MerchantCall, refusal: Refused) -> Answer:
        return errors.refused(call, refusal)

    def failed(self, call: MerchantCall) -> Answer:
        return errors.failed(call)

    def headers(self, call: MerchantCall) -> list[Header]:
        standing = call.standing or full(self.dependencies.settings.address_rate_limit, call.arrived_at)
        headers: list[Header] = [
            (b"x-ratelimit-limit", b"%d" % standing.limit),
            (b"x-ratelimit-remaining", b"%d" % standing.remaining),
            (b"x-ratelimit-reset", b"%d" % standing.resets_at_s),
            (b"x-request-id", call.request_id.encode()),
            *FIXED_HEADERS,
            *(cross_origin.headers(call) if call.switches.cors_origins else PLAIN_VARY),
        ]
        return headers

    async def _identify(self, call: MerchantCall) -> Stopped | None:
        """Find out whose key was sent; return what is to be said later if it is not a valid one."""
        scheme, _, text = (call.header(b"authorization") or "").partition(" ")
        text = text.strip()
        if not scheme or (scheme.lower() == "bearer" and not text):
            return _unauthorised("MISSING_TOKEN", "Send your API key as 'Authorization: Bearer op_…'.")
        if scheme.lower() != "bearer" or merchants.KEY_FORM.fullmatch(text) is None:
            return _unauthorised("INVALID_TOKEN", "Invalid or missing API key.")
        now = call.arrived_at
        key = await self._callers.recognise(text, now, lambda: self._look_up(text))
        if key is not None:
            call.caller = Caller(key.owner, key.id)
        if key is None or key.status == "locked":
            return _unauthorised("INVALID_TOKEN", "Invalid or missing API key.")
        call.caller_name = key.prefix
        if key.status == "revoked" or key.expired(now):
            ended = "revoked" if key.status == "revoked" else "expired"
            return _unauthorised("INVALID_TOKEN", f"This API key is {ended}.")
        call.key = key
        if self._callers.to_touch(key.id, now):
            self.in_background(self._touch(key, call.address, call.agent, now))
        return None

    async def _look_up(self, text: str) -> ApiKey | None:
        return await self.dependencies.db.lookup(lambda tx: merchants.find_api_key(tx, text))

    async def _touch(self, key: ApiKey, address: str, agent: str, now: Instant) -> None:
        await self.dependencies.db.write(
            lambda tx: merchants.touch_api_key(tx, key.id, ip=address, agent=agent, now=now)
        )

    async def _count(self, call: MerchantCall) -> Standing:
        settings = self.dependencies.settings
        if call.key is None:
            return await self._counters.take(call.address, settings.address_rate_limit, call.arrived_at)
        limit = call.key.rate_limit or settings.key_rate_limit
        return await self._counters.take(f"key {call.key.id}", limit, call.arrived_at)

    async def _check_super_admin(self, call: MerchantCall) -> None:
        """A named super-admin must be one; whether one has to be named, the operator decides (§9.12)."""
        named = call.header(b"x-super-admin-email")
        if named is None:
            if call.switches.require_super_admin_email:
                raise Stopped(400, "SUPER_ADMIN_EMAIL_REQUIRED", "Name a super-admin in X-Super-Admin-Email.")
            return
        if not await self.dependencies.db.read(lambda tx: install.is_super_admin(tx, named)):
            raise Stopped(403, "INVALID_SUPER_ADMIN", "X-Super-Admin-Email names no active super-admin.")

    async def _once(self, call: MerchantCall, operation: Operation[MerchantCall]) -> Answer:
        """Run the operation, or repeat an answer. A key that is taken is answered before fields are faulted."""
        slot = call.slot
        if slot is None:
            return await operation.handle(call)
        if slot in self._lately and (kept := await self._look(call, slot)):
            return replay(call, kept)
        try:
            answer = await operation.handle(call)
        except Invalid:
            await self._look(call, slot)
            raise
        self._lately.add(slot)
        return answer

    async def _look(self, call: MerchantCall, slot: Slot) -> Finished | None:
        keyring = self.dependencies.keyring
        return await self.dependencies.db.lookup(
            lambda tx: idempotency.look(tx, slot, keyring=keyring, now=call.key_now)
        )


def _authorise(call: MerchantCall, scope: str) -> None:
    key = call.by
    if key.merchant.status != "active":
        raise Stopped(403, "MERCHANT_INACTIVE", f"This merchant is {key.merchant.status}.")
    if key.allowed_ips and not admitted(call.address, key.allowed_ips):
        raise Stopped(403, "IP_NOT_ALLOWED", f"This API key may not be used from {call.address}.")
    if scope == "admin" and not key.scopes.issuperset(ADMIN):
        raise Stopped(403, "INSUFFICIENT_PRIVILEGE", "This API key lacks the scopes 'write' and 'admin'.")
    if scope not in key.scopes:
        raise Stopped(403, "INSUFFICIENT_SCOPE", f"This API key lacks the scope '{scope}'.")


def _fields(body: bytes) -> dict[str, Any]:
    """Return the fields of a body; every way of sending none is the same (§1.1)."""
    if not body.strip():
        return {}
    value = json_body.read(body)
    if value in NO_FIELDS:
        return {}
    if not isinstance(value, dict):
        raise json_body.MalformedJson("The request body must be a JSON object.")
    return value


def _slot(call: MerchantCall) -> Slot | None:
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    if not printable(key, characters_max=KEY_MAX):
        raise Stopped(400, "INVALID_IDEMPOTENCY_KEY", "An Idempotency-Key has 1 to 255 printable ASCII characters.")
    call.idempotency_key = key
    target = f"{call.path}?{call.query_string.decode('latin-1')}" if call.query_string else call.path
    same = idempotency.fingerprint(call.method, target, json_body.canonical(call.fields))
    kept = call.dependencies.settings.idempotency_hours * HOUR
    return Slot(call.by.owner, "merchant", key, same, kept=kept)


def _unauthorised(code: str, message: str) -> Stopped:
    return Stopped(401, code, message, headers=((b"www-authenticate", b"Bearer"),))


def _method_not_allowed(method: str, allow: bytes) -> Stopped:
    return Stopped(
        405, "METHOD_NOT_ALLOWED", f"This address does not take {method[:20]}.", headers=((b"allow", allow),)
    )


def _too_many(standing: Standing) -> Stopped:
    seconds = standing.retry_after_s
    message = f"Too many requests. Try again in {seconds} seconds."
    return Stopped(429, "RATE_LIMIT_EXCEEDED", message, retry_after_s=seconds)
