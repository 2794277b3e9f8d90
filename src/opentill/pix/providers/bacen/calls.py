"""One call to a bank: authorised, timed, logged, and its answer put in a class (pix-rail.md §6.6)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Final
from urllib.parse import urlencode

from opentill.kernel.clock import Clock, Instant
from opentill.kernel.ids import Ids
from opentill.kernel.json_text import compact
from opentill.pix.port import Ambiguous, CallFailed, Denied, NotSent, ProviderCall, Refused
from opentill.pix.providers.bacen.problems import Problem, read_object, read_problem
from opentill.pix.providers.bacen.profile import Credentials, Profile
from opentill.pix.providers.bacen.tokens import Tokens
from opentill.pix.providers.transport import RawAnswer, Transport
from opentill.pix.rejections import BY_CODE, BY_REASON

RETRY_AFTER_DEFAULT_S: Final = 5
RETRY_AFTER_MAX_S: Final = 300
CORRELATION_CHARACTERS: Final = 32
AT_ONCE_MAX: Final = 32  # calls to one account's bank: one that hangs holds no more than these

Observer = Callable[[ProviderCall], None]


class Budget:
    """The time one use of the adapter may take, over all its calls."""

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds

    def left_s(self) -> float:
        """Return what is left. Raises `NotSent` when nothing is: the next request was not made."""
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            raise NotSent("no time was left for the call")
        return left


@dataclass(slots=True)
class _Call:
    operation: str
    our_id: str
    method: str
    path: str
    body: bytes
    correlation_id: str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: RawAnswer | None = None


class Calls:
    """Calls to one account's bank. Raises `CallFailed` and nothing else."""

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials,
        transport: Transport,
        clock: Clock,
        ids: Ids,
        observe: Observer | None = None,
    ) -> None:
        self._profile = profile
        self.tokens = Tokens(profile, credentials, transport, clock, ids)
        self._headers = credentials.filled(profile.static_headers)
        self._query = credentials.filled(profile.query_params)
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._transport = transport
        self._clock = clock
        self._ids = ids
        self._observe = observe

    async def read(
        self, operation: str, our_id: str, path: str, budget: Budget, query: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """Return the document at *path*, or None where the bank knows none. A read that fails is `NotSent`."""
        call = self._call(operation, our_id, "GET", path, b"", query)
        try:
            body = await self._made(call, budget)
        except Ambiguous as broken:
            raise NotSent(str(broken), retry_after_s=_retry_after(call.answer)) from None
        if body is None:
            return None
        document = read_object(body)
        if document is None:
            raise NotSent("the answer is not the JSON it should be")
        return document

    async def write(
        self,
        operation: str,
        our_id: str,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        budget: Budget,
        headers: Mapping[str, str] | None = None,
    ) -> bytes | None:
        """Send a document and return the body of the answer, or None where the bank answers 404 or 410."""
        body = b"" if document is None else compact(document)
        chosen = self._profile.method_overrides.get(operation, method)
        call = self._call(operation, our_id, chosen, path, body)
        call.headers = headers or {}
        return await self._made(call, budget)

    def _call(
        self,
        operation: str,
        our_id: str,
        method: str,
        path: str,
        body: bytes,
        query: Mapping[str, str] | None = None,
    ) -> _Call:
        """Return a call as this bank spells it."""
        profile, resource = self._profile, path.split("/")[1]
        version = profile.path_versions.get(f"{method} {resource}", profile.path_versions.get(resource))
        spelt = {profile.param_aliases.get(name, name): value for name, value in (query or {}).items()}
        members = spelt | self._query
        asked = urlencode(members) if members else ""
        target = (f"/{version}" if version else "") + path + (f"?{asked}" if asked else "")
        correlation_id = self._ids.hex(CORRELATION_CHARACTERS) if profile.correlation_header else None
        return _Call(operation, our_id, method, target, body, correlation_id)

    async def _made(self, call: _Call, budget: Budget) -> bytes | None:
        """Make the call and leave a row of it, whatever comes of it."""
        started_at, started_ns = self._clock.now(), perf_counter_ns()
        outcome = "cancelled"
        try:
            await self._take_slot(budget)
            try:
                call.answer = await self._authorised(call, budget)
            finally:
                self._slots.release()
            body = self._judged(call.answer)
            outcome = "ok" if body is not None else "not_found"
        except CallFailed as failure:
            outcome = failure.outcome
            raise
        finally:
            if self._observe is not None:
                self._observe(_row(call, started_at, (perf_counter_ns() - started_ns) // 1_000, outcome))
        return body

    async def _take_slot(self, budget: Budget) -> None:
        """Wait until this bank has room for one more of our calls. Raises `NotSent`."""
        left_s = budget.left_s()
        if not self._slots.locked():  # nothing to wait for, so no timer either
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(left_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NotSent("too many calls to this bank are under way") from None

    async def _authorised(self, call: _Call, budget: Budget) -> RawAnswer:
        token = await self.tokens.get(budget.left_s())
        answer = await self._sent(call, token, budget)
        if answer.status == 401:
            self.tokens.drop(token)
            answer = await self._sent(call, await self.tokens.get(budget.left_s()), budget)
        return answer

    async def _sent(self, call: _Call, token: str, budget: Budget) -> RawAnswer:
        headers = {**self._headers, "Authorization": f"Bearer {token}", "Accept": "application/json", **call.headers}
        if call.body:
            headers["Content-Type"] = "application/json"
        if self._profile.correlation_header and call.correlation_id:
            headers[self._profile.correlation_header] = call.correlation_id
        url = self._profile.base_url + call.path
        return await self._transport.request(call.method, url, headers, call.body, budget.left_s())

    def _judged(self, answer: RawAnswer) -> bytes | None:
        """Return the body of a 2xx answer, None for 404 and 410, and raise what any other status means."""
        status = answer.status
        if 200 <= status <= 299:
            return answer.body
        if status in (404, 410):
            return None
        if status == 429:
            raise NotSent("the bank asks for fewer calls", retry_after_s=_retry_after(answer))
        if status >= 500 or status < 400 or status == 408:
            raise Ambiguous(f"the bank answered {status}")
        problem = read_problem(answer, self._profile.error_parsers)
        if status in (401, 403):
            raise Denied(problem.detail)
        raise refusal(problem)


def refusal(problem: Problem) -> Refused:
    """Return the port's form of a bank's refusal. The document's name for it leads the detail."""
    detail = f"{problem.name}: {problem.detail}" if problem.name else problem.detail
    row = BY_CODE.get(problem.code) or BY_REASON.get(problem.code.lower())
    if row is None:
        return Refused("provider_error", detail, problem.violations)
    return Refused(row.reason, detail, problem.violations, rail_code=row.code)


def _retry_after(answer: RawAnswer | None) -> int | None:
    """Return the seconds a bank asks us to wait; a date instead of a number counts as the default."""
    if answer is None:
        return None
    text = answer.headers.get("retry-after", "")
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]), RETRY_AFTER_MAX_S)
    return RETRY_AFTER_DEFAULT_S if answer.status == 429 else None


def _row(call: _Call, started_at: Instant, duration_us: int, outcome: str) -> ProviderCall:
    return ProviderCall(
        operation=call.operation,
        our_id=call.our_id,
        started_at=started_at,
        duration_us=duration_us,
        outcome=outcome,
        status=call.answer.status if call.answer else None,
        correlation_id=call.correlation_id,
        request_body=call.body,
        answer_body=call.answer.body if call.answer else b"",
    )
