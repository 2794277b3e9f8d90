"""`PixReceiver` over the Central Bank's document (pix-rail.md §6)."""

from typing import Any, Final
from urllib.parse import quote

from opentill.kernel.clock import Clock, Instant, iso_micros
from opentill.kernel.ids import Ids
from opentill.pix.port import (
    Ambiguous,
    CallFailed,
    ChargeRequest,
    Denied,
    Hint,
    NotSent,
    Page,
    ProviderCharge,
    ProviderReceipt,
    RawRequest,
    ReceiverCapabilities,
    Refused,
)
from opentill.pix.providers.bacen import wire
from opentill.pix.providers.bacen.calls import Budget, Calls, Observer
from opentill.pix.providers.bacen.problems import read_object
from opentill.pix.providers.bacen.profile import Credentials, Profile
from opentill.pix.providers.bacen.tokens import Tokens
from opentill.pix.providers.transport import Transport

CREATE_S: Final = 10  # in all, with token and reading back
CALL_S: Final = 20
PAGE_ITEMS: Final = 100

_SCOPES: Final = {
    "cob": {"cob.read", "cob.write"},
    "pix": {"pix.read"},
    "webhook": {"webhook.read", "webhook.write"},
}


class BacenReceiver:
    """One account at a bank that speaks the document; its methods are described by the port.

    Keep one per account and process: it holds the token.
    """

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials,
        transport: Transport,
        *,
        clock: Clock,
        ids: Ids,
        observe: Observer | None = None,
    ) -> None:
        self._profile = profile
        self._tokens = Tokens(profile, credentials, transport, clock)
        self._calls = Calls(profile, self._tokens, transport, clock, ids, observe)
        self._clock = clock

    @property
    def capabilities(self) -> ReceiverCapabilities:
        """What the profile offers less what the bank did not grant with the last token."""
        return ReceiverCapabilities(
            dynamic=self._offers("cob"), list_receipts=self._offers("pix"), webhook=self._offers("webhook")
        )

    async def create_charge(self, request: ChargeRequest) -> ProviderCharge:
        self._require("cob")
        budget = Budget(CREATE_S)
        try:
            body = await self._calls.write(
                "charge.create",
                request.txid,
                "PUT",
                _charge_path(request.txid),
                wire.charge_body(request),
                budget,
            )
        except Refused as refused:
            return await self._found_despite(refused, request, budget)
        if body is None:
            raise Refused("provider_error", "the bank knows no way to make this charge")
        charge = self._written_charge(body)
        if not _agrees(charge, request):
            await self._withdraw(request.txid, budget)
            raise Refused("provider_error", "the bank made another charge than the one asked for")
        return charge

    async def get_charge(self, txid: str) -> ProviderCharge | None:
        self._require("cob")
        return await self._charge(txid, Budget(CALL_S))

    async def cancel_charge(self, txid: str) -> ProviderCharge:
        self._require("cob")
        budget = Budget(CALL_S)
        try:
            body = await self._calls.write("charge.cancel", txid, "PATCH", _charge_path(txid), wire.REMOVE, budget)
        except Refused as refused:
            # The usual reason is a payment that came first; then what the bank holds is the answer.
            charge = await self._charge(txid, budget)
            if charge is None:
                raise refused from None
            return charge
        if body is None:
            raise Refused("not_found", "the bank does not know this charge")
        return self._written_charge(body)

    async def get_receipt(self, e2e_id: str) -> ProviderReceipt | None:
        self._require("pix")
        path = f"/pix/{quote(e2e_id, safe='')}"
        document = await self._calls.read("receipt.read", e2e_id, path, Budget(CALL_S))
        return None if document is None else _readable_receipt(document)

    async def list_receipts(
        self, start: Instant, end: Instant, cursor: str | None = None, txid_present: bool | None = None
    ) -> Page[ProviderReceipt]:
        self._require("pix")
        number = int(cursor or "0")
        query = {
            "inicio": iso_micros(start),
            "fim": iso_micros(end),
            "paginacao.paginaAtual": str(number),
            "paginacao.itensPorPagina": str(PAGE_ITEMS),
        }
        if txid_present is not None:
            query["txIdPresente"] = "true" if txid_present else "false"
        document = await self._calls.read("receipt.list", "", "/pix", Budget(CALL_S), query)
        if document is None:
            raise NotSent("the bank knows no list of receipts")
        try:
            return wire.read_page(document, number)
        except wire.Malformed as malformed:
            raise NotSent(f"the list is not readable: {malformed}") from None

    async def ensure_webhook(self, key: str, url: str) -> None:
        self._require("webhook")
        budget, path = Budget(CALL_S), f"/webhook/{quote(key, safe='')}"
        found = await self._calls.read("webhook.read", key, path, budget)
        if found is not None and found.get("webhookUrl") == url:
            return
        if await self._calls.write("webhook.write", key, "PUT", path, {"webhookUrl": url}, budget) is None:
            raise Refused("not_found", "the bank does not know this key")

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        return wire.read_hints(request)

    def _offers(self, feature: str) -> bool:
        return self._profile.offers(feature) and not (_SCOPES[feature] & self._tokens.missing_scopes)

    def _require(self, feature: str) -> None:
        if not self._offers(feature):
            raise Denied(f"the bank does not offer {feature!r} to this account")

    async def _found_despite(self, refused: Refused, request: ChargeRequest, budget: Budget) -> ProviderCharge:
        """Return the charge when the bank has it as asked: it refused because it had made it before."""
        try:
            charge = await self._charge(request.txid, budget)
        except NotSent as unread:
            raise Ambiguous(f"refused, and not readable after that: {unread}") from refused
        except Refused:
            charge = None
        if charge is None or not _agrees(charge, request):
            raise refused
        return charge

    async def _withdraw(self, txid: str, budget: Budget) -> None:
        """Remove a charge that is not what was asked for. If that fails, its payment ends as a direct receipt."""
        try:
            await self._calls.write("charge.cancel", txid, "PATCH", _charge_path(txid), wire.REMOVE, budget)
        except CallFailed:
            return

    async def _charge(self, txid: str, budget: Budget) -> ProviderCharge | None:
        document = await self._calls.read("charge.read", txid, _charge_path(txid), budget)
        if document is None:
            return None
        try:
            return self._read(document)
        except wire.Malformed as malformed:
            raise NotSent(f"the charge is not readable: {malformed}") from None

    def _written_charge(self, body: bytes) -> ProviderCharge:
        document = read_object(body)
        if document is None:
            raise Ambiguous("the answer is not the JSON it should be")
        try:
            return self._read(document)
        except wire.Malformed as malformed:
            raise Ambiguous(f"the charge is not readable: {malformed}") from None

    def _read(self, document: dict[str, Any]) -> ProviderCharge:
        return wire.read_charge(document, now=self._clock.now(), code_members=self._profile.code_members)


def _charge_path(txid: str) -> str:
    return f"/cob/{quote(txid, safe='')}"


def _agrees(charge: ProviderCharge, request: ChargeRequest) -> bool:
    asked = (request.txid, request.amount_centavos, request.key)
    return (charge.txid, charge.amount_centavos, charge.key) == asked


def _readable_receipt(document: dict[str, Any]) -> ProviderReceipt:
    try:
        return wire.read_receipt(document)
    except wire.Malformed as malformed:
        raise NotSent(f"the receipt is not readable: {malformed}") from None
