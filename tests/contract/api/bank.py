"""A bank in memory that issues charges, and fails on demand."""

from dataclasses import replace
from typing import cast

from opentill.kernel.clock import SECOND, Clock, after
from opentill.kernel.errors import Refused
from opentill.pix.port import (
    ChargeRequest,
    ChargeState,
    Hint,
    Nature,
    Page,
    ProviderCharge,
    ProviderReceipt,
    ProviderReturn,
    RawRequest,
    ReceiverCapabilities,
    ReturnState,
)
from opentill.web.sandbox_bank import SandboxDesk


class MemoryBank:
    """One bank for every account. `failures` are raised by the next creations, one each."""

    capabilities = ReceiverCapabilities(dynamic=True, list_receipts=True, webhook=False)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.charges: dict[str, ProviderCharge] = {}
        self.asked: list[str] = []  # the txid of each creation that arrived
        self.failures: list[Exception] = []
        self.returned: dict[str, ProviderReturn] = {}
        self.has_desk = False  # one at which nothing can be done

    async def create_charge(self, request: ChargeRequest) -> ProviderCharge:
        if self.failures:
            raise self.failures.pop(0)
        self.asked.append(request.txid)
        now = self.clock.now()
        return self.charges.setdefault(
            request.txid,
            ProviderCharge(
                txid=request.txid,
                state=ChargeState.ACTIVE,
                provider_status="ATIVA",
                revision=0,
                amount_centavos=request.amount_centavos,
                key=request.key,
                created_at=now,
                expires_at=after(now, request.expires_in_s * SECOND),
                location=f"bank.example/qr/{request.txid}",
                code=None,
                receipts=(),
            ),
        )

    async def get_charge(self, txid: str) -> ProviderCharge | None:
        return self.charges.get(txid)

    async def cancel_charge(self, txid: str) -> ProviderCharge:
        self.charges[txid] = replace(self.charges[txid], state=ChargeState.CANCELLED)
        return self.charges[txid]

    async def get_receipt(self, e2e_id: str) -> ProviderReceipt | None:
        return None

    async def list_receipts(
        self, start: int, end: int, cursor: str | None = None, txid_present: bool | None = None
    ) -> Page[ProviderReceipt]:
        return Page((), None)

    async def request_return(self, e2e_id: str, ref: str, amount_centavos: int, text: str) -> ProviderReturn:
        made = ProviderReturn(ref, f"D{e2e_id[1:]}", amount_centavos, ReturnState.COMPLETED, Nature.ORDINARY, text)
        return self.returned.setdefault(ref, made)

    async def get_return(self, e2e_id: str, ref: str) -> ProviderReturn | None:
        return self.returned.get(ref)

    async def ensure_webhook(self, key: str, url: str) -> None:
        return None

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        return []

    def desk(self, client_id: str) -> SandboxDesk:
        if self.has_desk:
            return cast(SandboxDesk, object())
        raise Refused("NOT_SANDBOX", "This account is not at the sandbox bank")

    async def pay(self, txid: str, *, amount_centavos: int | None = None) -> list[str]:
        return []
