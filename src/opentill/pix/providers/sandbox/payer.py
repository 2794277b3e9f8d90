"""`PixPayout` at the sandbox bank (pix-rail.md §8, §11.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final, TypeVar
from urllib.parse import quote

from opentill.kernel.clock import Clock, Instant, iso_micros
from opentill.kernel.ids import Ids
from opentill.pix.port import (
    Ambiguous,
    DecodedCode,
    Denied,
    Evidence,
    Hint,
    KeyOwner,
    NotSent,
    Page,
    PayoutCapabilities,
    PayoutRequest,
    ProviderBalance,
    ProviderInfraction,
    ProviderPayout,
    RawRequest,
    Refused,
    StatementLine,
)
from opentill.pix.providers.bacen.calls import Budget, Calls, Observer
from opentill.pix.providers.bacen.problems import read_object
from opentill.pix.providers.bacen.profile import Credentials, Profile
from opentill.pix.providers.bacen.wire import Malformed
from opentill.pix.providers.payloads import Payloads
from opentill.pix.providers.sandbox import wire
from opentill.pix.providers.transport import Transport

CALL_S: Final = 20
PAGE_ITEMS: Final = 100
ABSENCE_AFTER_S: Final = 1

T = TypeVar("T")


class SandboxPayer:
    """One account of the sandbox bank, for sending, with a token of its own. The port describes its methods."""

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials,
        transport: Transport,
        payloads: Payloads | None,
        *,
        clock: Clock,
        ids: Ids,
        observe: Observer | None = None,
    ) -> None:
        self._reference = profile.reference
        sending = replace(profile, base_url=profile.payout_base_url, scopes=profile.payout_scopes)
        self._calls = Calls(sending, credentials, transport, clock, ids, observe)
        self._payloads = payloads

    @property
    def capabilities(self) -> PayoutCapabilities:
        return PayoutCapabilities(
            by_key=True,
            by_code=True,
            own_e2e=True,
            decode=True,
            balance=True,
            statement=True,
            infractions=True,
            defenses=True,
            query_proves_absence=True,
            absence_after_s=ABSENCE_AFTER_S,
        )

    async def submit(self, request: PayoutRequest) -> ProviderPayout:
        budget = Budget(CALL_S)
        try:
            body = await self._calls.write(
                "payout.submit",
                request.ref,
                "PUT",
                _payout_path(request.ref),
                wire.payout_body(request),
                budget,
                self._reference(request.reference),
            )
        except Refused as refused:
            return await self._sent_despite(refused, request, budget)
        if body is None:
            raise Refused("provider_error", "the bank knows no way to send this payout")
        document = read_object(body)
        if document is None:
            raise Ambiguous("the answer is not the JSON it should be")
        try:
            return wire.read_payout(document)
        except Malformed as malformed:
            raise Ambiguous(f"the payout is not readable: {malformed}") from None

    async def query(self, ref: str, e2e_id: str | None) -> ProviderPayout | None:
        return await self._query(ref, Budget(CALL_S))

    async def lookup_key(self, key: str) -> KeyOwner | None:
        raise Denied("this bank looks no keys up")

    async def decode_code(self, code: str, on: date) -> DecodedCode:
        if self._payloads is not None:
            return await self._payloads.decode(code, on)
        body = await self._calls.write(
            "code.decode", "", "POST", "/decodificar", {"pixCopiaECola": code}, Budget(CALL_S)
        )
        document = read_object(body or b"")
        if document is None:
            raise Refused("qr_rejected", "the bank cannot read this code")
        return _readable(document, wire.read_decoded)

    async def balance(self) -> ProviderBalance:
        return await self._read("balance.read", "", "/saldo", wire.read_balance)

    async def statement(self, day: date, cursor: str | None = None) -> Page[StatementLine]:
        number = int(cursor or "0")
        query = {"data": day.isoformat(), **_page(number)}
        return await self._read(
            "statement.read", "", "/extrato", lambda found: wire.read_statement(found, number), query
        )

    async def list_infractions(
        self, start: Instant, end: Instant, cursor: str | None = None
    ) -> Page[ProviderInfraction]:
        number = int(cursor or "0")
        query = {"inicio": iso_micros(start), "fim": iso_micros(end), **_page(number)}
        return await self._read(
            "infraction.list", "", "/infracoes", lambda found: wire.read_infractions(found, number), query
        )

    async def get_infraction(self, ref: str) -> ProviderInfraction | None:
        document = await self._calls.read("infraction.read", ref, _infraction_path(ref), Budget(CALL_S))
        return None if document is None else _readable(document, wire.read_infraction)

    async def send_defense(self, ref: str, text: str, evidence: Sequence[Evidence]) -> None:
        path, body = f"{_infraction_path(ref)}/defesa", wire.defence_body(text, evidence)
        if await self._calls.write("infraction.defend", ref, "POST", path, body, Budget(CALL_S)) is None:
            raise Refused("not_found", "the bank does not know this contest")

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        return wire.read_hints(request)

    async def _sent_despite(self, refused: Refused, request: PayoutRequest, budget: Budget) -> ProviderPayout:
        """Return the payout when the bank has it as asked: it refused because it had taken it before."""
        try:
            sent = await self._query(request.ref, budget)
        except NotSent as unread:
            raise Ambiguous(f"refused, and not readable after that: {unread}") from refused
        except Refused:
            sent = None
        if sent is None:
            raise refused
        if sent.amount_centavos != request.amount_centavos:  # money under our name has left or may: that is no refusal
            raise Ambiguous("refused, and the bank holds another payout under its name") from refused
        return sent

    async def _query(self, ref: str, budget: Budget) -> ProviderPayout | None:
        document = await self._calls.read("payout.query", ref, _payout_path(ref), budget)
        return None if document is None else _readable(document, wire.read_payout)

    async def _read(
        self,
        operation: str,
        our_id: str,
        path: str,
        read: Callable[[Mapping[str, Any]], T],
        query: Mapping[str, str] | None = None,
    ) -> T:
        document = await self._calls.read(operation, our_id, path, Budget(CALL_S), query)
        if document is None:
            raise NotSent(f"the bank knows no {path}")
        return _readable(document, read)


def _readable(document: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(document)
    except Malformed as malformed:
        raise NotSent(f"the answer is not readable: {malformed}") from None


def _payout_path(ref: str) -> str:
    return f"/pix/{quote(ref, safe='')}"


def _infraction_path(ref: str) -> str:
    return f"/infracoes/{quote(ref, safe='')}"


def _page(number: int) -> dict[str, str]:
    return {"paginacao.paginaAtual": str(number), "paginacao.itensPorPagina": str(PAGE_ITEMS)}
