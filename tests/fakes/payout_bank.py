"""A bank that pays out, in memory. It executes each reference once, whatever happens on the line.

bank.next("timeout_after")       # the next submit: done, but the answer is lost
bank.settles(payout.id)          # what was sent arrives
assert bank.executed == {payout.id: 1}
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from opentill.kernel.clock import Clock, Instant
from opentill.pix.identifiers import return_id
from opentill.pix.port import (
    Ambiguous,
    CallFailed,
    DecodedCode,
    Evidence,
    Hint,
    InfractionState,
    KeyOwner,
    NotSent,
    Page,
    PayoutCapabilities,
    PayoutRequest,
    PayoutReturn,
    PayoutState,
    ProviderBalance,
    ProviderInfraction,
    ProviderPayout,
    RawRequest,
    Recipient,
    Refused,
    StatementLine,
    UnreadableNotification,
)
from tests.make import Scene


class PayoutBank:
    """`PixPayout` over a dictionary."""

    capabilities = PayoutCapabilities(
        by_key=True,
        by_code=True,
        own_e2e=True,
        decode=True,
        infractions=True,
        defenses=True,
        query_proves_absence=True,
        absence_after_s=1,
    )

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.clock: Clock = scene.clock
        self.payouts: dict[str, ProviderPayout] = {}
        self.executed: Counter[str] = Counter()
        self.submits: list[PayoutRequest] = []
        self.queries: list[str] = []
        self.codes: dict[str, DecodedCode | CallFailed] = {}
        self.infractions: dict[str, ProviderInfraction] = {}
        self.defenses: list[tuple[str, str]] = []
        self._scripted: list[str | Exception] = []
        self.deaf = False  # answers no question

    def next(self, *what: str | Exception) -> None:
        """Say how the next submits go: `timeout_before`, `timeout_after`, `done`, `one_more`, or raise an exception."""
        self._scripted += what

    async def submit(self, request: PayoutRequest) -> ProviderPayout:
        self.submits.append(request)
        how = self._scripted.pop(0) if self._scripted else "ok"
        if isinstance(how, Exception):
            raise how
        if how == "timeout_before":
            raise Ambiguous("no answer")
        known = self.payouts.get(request.ref) or self._execute(request)
        if how == "timeout_after":
            raise Ambiguous("no answer")
        if how == "one_more":
            known = replace(known, amount_centavos=known.amount_centavos + 1)
        if how == "done":
            known = self.settles(request.ref)
        return known

    async def query(self, ref: str, e2e_id: str | None) -> ProviderPayout | None:
        self.queries.append(ref)
        if self.deaf:
            raise NotSent("the bank does not answer")
        return self.payouts.get(ref)

    async def lookup_key(self, key: str) -> KeyOwner | None:
        return KeyOwner(key, "Fulano de Tal", "12345678909", "99999002")

    async def decode_code(self, code: str, on: date) -> DecodedCode:
        found = self.codes[code]
        if isinstance(found, CallFailed):
            raise found
        return found

    async def balance(self) -> ProviderBalance:
        return ProviderBalance(0)

    async def statement(self, day: date, cursor: str | None = None) -> Page[StatementLine]:
        return Page((), None)

    async def list_infractions(
        self, start: Instant, end: Instant, cursor: str | None = None
    ) -> Page[ProviderInfraction]:
        return Page(tuple(self.infractions.values()), None)

    async def get_infraction(self, ref: str) -> ProviderInfraction | None:
        return self.infractions.get(ref)

    async def send_defense(self, ref: str, text: str, evidence: Sequence[Evidence]) -> None:
        self.defenses.append((ref, text))
        self.infractions[ref] = replace(self.infractions[ref], state=InfractionState.DEFENDED)

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        raise UnreadableNotification("this bank tells nothing")

    # What happens at the bank.

    def settles(self, ref: str) -> ProviderPayout:
        return self.says(
            ref, PayoutState.COMPLETED, settled_at=self.clock.now(), recipient=Recipient("Fulano de Tal", "12345678909")
        )

    def fails(self, ref: str, code: str, rail_code: str | None = None) -> ProviderPayout:
        return self.says(ref, PayoutState.FAILED, code=code, rail_code=rail_code)

    def says(self, ref: str, state: PayoutState, **facts: object) -> ProviderPayout:
        self.payouts[ref] = replace(self.payouts[ref], state=state, provider_status=state.value, **facts)  # type: ignore[arg-type]
        return self.payouts[ref]

    def gives_back(self, ref: str, centavos: int, reason: str = "MD06") -> PayoutReturn:
        now = self.clock.now()
        made = PayoutReturn(return_id(self._scene.ids, "99999002", now), centavos, reason, now)
        self.payouts[ref] = replace(self.payouts[ref], returns=(*self.payouts[ref].returns, made))
        return made

    def _execute(self, request: PayoutRequest) -> ProviderPayout:
        if any(request.e2e_id and request.e2e_id == known.e2e_id for known in self.payouts.values()):
            raise Refused("duplicate", "used before", rail_code="DUPL")
        self.executed[request.ref] += 1
        self.payouts[request.ref] = ProviderPayout(
            ref=request.ref,
            provider_ref=None,
            e2e_id=request.e2e_id,
            state=PayoutState.PROCESSING,
            provider_status="EM_PROCESSAMENTO",
            amount_centavos=request.amount_centavos,
        )
        return self.payouts[request.ref]
