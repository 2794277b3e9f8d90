"""`PixReceiver` over the Central Bank's document (pix-rail.md §6)."""

from typing import Any, Final
from urllib.parse import quote

from opentill.kernel.calendar import day_ends
from opentill.kernel.clock import Clock, Instant, iso_micros
from opentill.kernel.ids import Ids
from opentill.pix.port import (
    Ambiguous,
    CallFailed,
    ChargeRequest,
    Denied,
    DueChargeRequest,
    Hint,
    NotSent,
    Page,
    ProviderCharge,
    ProviderReceipt,
    ProviderReturn,
    RawRequest,
    ReceiverCapabilities,
    Refused,
)
from opentill.pix.providers.bacen import wire
from opentill.pix.providers.bacen.authenticity import require_authentic
from opentill.pix.providers.bacen.calls import Budget, Calls, Observer
from opentill.pix.providers.bacen.problems import read_object, return_refusal
from opentill.pix.providers.bacen.profile import Credentials, Profile
from opentill.pix.providers.transport import Transport

CREATE_S: Final = 10  # in all, with token and reading back
CALL_S: Final = 20
PAGE_ITEMS: Final = 100

_SCOPES: Final = {
    "cob": {"cob.read", "cob.write"},
    "cobv": {"cobv.read", "cobv.write"},
    "pix": {"pix.read"},
    "devolucao": {"pix.read", "pix.write"},
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
        self._calls = Calls(profile, credentials, transport, clock, ids, observe)
        self._credentials = credentials
        self._clock = clock

    @property
    def capabilities(self) -> ReceiverCapabilities:
        """What the profile offers less what the bank did not grant with the last token."""
        return ReceiverCapabilities(
            dynamic=self._offers("cob"),
            due_date=self._offers("cobv"),
            list_receipts=self._offers("pix"),
            webhook=self._offers("webhook"),
            returns=self._offers("devolucao"),
        )

    @property
    def trouble(self) -> str | None:
        """What is wrong with our authorisation at this bank, for an operator; None while all is well."""
        return self._calls.tokens.trouble

    async def authorise(self) -> None:
        """Have a token that is good for a minute at least. Raises `NotSent` or `Denied`."""
        await self._calls.tokens.get(CALL_S)

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
                self._profile.reference(request.reference),
            )
        except Refused as refused:
            return await self._found_despite(refused, request, budget)
        if body is None:
            raise Refused("provider_error", "the bank knows no way to make this charge")
        charge = self._written_charge(body)
        if not _agrees(charge, request):
            await self._withdraw(_charge_path(request.txid), request.txid, budget)
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

    async def create_due_charge(self, request: DueChargeRequest) -> ProviderCharge:
        self._require("cobv")
        budget, path = Budget(CREATE_S), _due_path(request.txid)
        try:
            body = await self._calls.write(
                "charge.create", request.txid, "PUT", path, wire.due_charge_body(request), budget
            )
        except Refused as refused:
            found = await self._due_despite(refused, request, budget)
            if found is None or not _is_due_as_asked(found, request):
                raise
            return found
        if body is None:
            raise Refused("provider_error", "the bank knows no way to make this charge")
        charge = self._written_charge(body, due=True)
        if not _is_due_as_asked(charge, request):
            await self._withdraw(path, request.txid, budget)
            raise Refused("provider_error", "the bank made another charge than the one asked for")
        return charge

    async def get_due_charge(self, txid: str) -> ProviderCharge | None:
        self._require("cobv")
        return await self._due_charge(txid, Budget(CALL_S))

    async def cancel_due_charge(self, txid: str) -> ProviderCharge:
        self._require("cobv")
        budget = Budget(CALL_S)
        try:
            body = await self._calls.write("charge.cancel", txid, "PATCH", _due_path(txid), wire.REMOVE, budget)
        except Refused as refused:
            charge = await self._due_charge(txid, budget)
            if charge is None:
                raise refused from None
            return charge
        if body is None:
            raise Refused("not_found", "the bank does not know this charge")
        return self._written_charge(body, due=True)

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

    async def request_return(self, e2e_id: str, ref: str, amount_centavos: int, text: str) -> ProviderReturn:
        self._require("devolucao")
        budget, path = Budget(CALL_S), _return_path(e2e_id, ref)
        try:
            body = await self._calls.write(
                "refund.submit", ref, "PUT", path, wire.return_body(amount_centavos, text), budget
            )
        except Refused as refused:
            return await self._returned_despite(refused, e2e_id, ref, amount_centavos, budget)
        if body is None:
            raise Refused("not_found", "the bank does not know this receipt")
        return _written_return(body)

    async def get_return(self, e2e_id: str, ref: str) -> ProviderReturn | None:
        self._require("devolucao")
        return await self._return(e2e_id, ref, Budget(CALL_S))

    async def ensure_webhook(self, key: str, url: str) -> None:
        self._require("webhook")
        budget, path = Budget(CALL_S), f"/webhook/{quote(key, safe='')}"
        auth = self._profile.webhook_auth
        address = f"{url}?{auth.suffix_member}=" if auth.suffix_member else url
        found = await self._calls.read("webhook.read", key, path, budget)
        if found is not None and found.get("webhookUrl") == address:
            return
        body, headers = {"webhookUrl": address}, dict(auth.register_headers)
        if self._credentials.hook_unchecked:
            headers |= auth.unchecked_headers
        if await self._calls.write("webhook.write", key, "PUT", path, body, budget, headers) is None:
            raise Refused("not_found", "the bank does not know this key")

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        require_authentic(request, self._profile.webhook_auth, self._credentials, self._clock.now())
        return wire.read_hints(request)

    def _offers(self, feature: str) -> bool:
        return self._profile.offers(feature) and not (_SCOPES[feature] & self._calls.tokens.missing_scopes)

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

    async def _returned_despite(
        self, refused: Refused, e2e_id: str, ref: str, amount_centavos: int, budget: Budget
    ) -> ProviderReturn:
        """Return the return when the bank has it as asked: it refused because it had made it before."""
        try:
            made = await self._return(e2e_id, ref, budget)
        except NotSent as unread:
            raise Ambiguous(f"refused, and not readable after that: {unread}") from refused
        except Refused:
            made = None
        if made is None:
            raise return_refusal(refused)
        if made.amount_centavos != amount_centavos:  # money under our name has left or may: that is no refusal
            raise Ambiguous("refused, and the bank holds another return under its name") from refused
        return made

    async def _return(self, e2e_id: str, ref: str, budget: Budget) -> ProviderReturn | None:
        document = await self._calls.read("refund.query", ref, _return_path(e2e_id, ref), budget)
        try:
            return None if document is None else wire.read_return(document)
        except wire.Malformed as malformed:
            raise NotSent(f"the return is not readable: {malformed}") from None

    async def _due_despite(self, refused: Refused, request: DueChargeRequest, budget: Budget) -> ProviderCharge | None:
        """Return the charge the bank has after it refused to make it, if it has one."""
        try:
            return await self._due_charge(request.txid, budget)
        except NotSent as unread:
            raise Ambiguous(f"refused, and not readable after that: {unread}") from refused
        except Refused:
            return None

    async def _withdraw(self, path: str, txid: str, budget: Budget) -> None:
        """Remove a charge that is not what was asked for. If that fails, its payment ends as a direct receipt."""
        try:
            await self._calls.write("charge.cancel", txid, "PATCH", path, wire.REMOVE, budget)
        except CallFailed:
            return

    async def _due_charge(self, txid: str, budget: Budget) -> ProviderCharge | None:
        document = await self._calls.read("charge.read", txid, _due_path(txid), budget)
        try:
            return None if document is None else self._read(document, due=True)
        except wire.Malformed as malformed:
            raise NotSent(f"the charge is not readable: {malformed}") from None

    async def _charge(self, txid: str, budget: Budget) -> ProviderCharge | None:
        document = await self._calls.read("charge.read", txid, _charge_path(txid), budget)
        if document is None:
            return None
        try:
            return self._read(document)
        except wire.Malformed as malformed:
            raise NotSent(f"the charge is not readable: {malformed}") from None

    def _written_charge(self, body: bytes, *, due: bool = False) -> ProviderCharge:
        document = read_object(body)
        if document is None:
            raise Ambiguous("the answer is not the JSON it should be")
        try:
            return self._read(document, due=due)
        except wire.Malformed as malformed:
            raise Ambiguous(f"the charge is not readable: {malformed}") from None

    def _read(self, document: dict[str, Any], *, due: bool = False) -> ProviderCharge:
        read = wire.read_due_charge if due else wire.read_charge
        return read(document, now=self._clock.now(), code_members=self._profile.code_members)


def _charge_path(txid: str) -> str:
    return f"/cob/{quote(txid, safe='')}"


def _due_path(txid: str) -> str:
    return f"/cobv/{quote(txid, safe='')}"


def _is_due_as_asked(charge: ProviderCharge, request: DueChargeRequest) -> bool:
    asked = (request.txid, request.terms.original, request.key, day_ends(request.terms.last_day))
    return (charge.txid, charge.amount_centavos, charge.key, charge.expires_at) == asked


def _agrees(charge: ProviderCharge, request: ChargeRequest) -> bool:
    asked = (request.txid, request.amount_centavos, request.key)
    return (charge.txid, charge.amount_centavos, charge.key) == asked


def _return_path(e2e_id: str, ref: str) -> str:
    return f"/pix/{quote(e2e_id, safe='')}/devolucao/{quote(ref, safe='')}"


def _written_return(body: bytes) -> ProviderReturn:
    document = read_object(body)
    try:
        return wire.read_return(document)
    except wire.Malformed as malformed:
        raise Ambiguous(f"the return is not readable: {malformed}") from None


def _readable_receipt(document: dict[str, Any]) -> ProviderReceipt:
    try:
        return wire.read_receipt(document)
    except wire.Malformed as malformed:
        raise NotSent(f"the receipt is not readable: {malformed}") from None
