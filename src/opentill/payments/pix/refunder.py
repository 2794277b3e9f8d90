"""How PIX gives money back: as a return of the receipt, under the refund's own id (pix-rail.md §6.9)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from opentill.db import Database
from opentill.gateways.port import RefundAnswer, RefundOrder, RefundState, RefundTerms
from opentill.kernel.clock import DAY, Instant
from opentill.pix import port
from opentill.pix import store as accounts
from opentill.pix.model import Account
from opentill.pix.payouts.rules import failure_of
from opentill.pix.port import PixReturns, ProviderReturn, ReturnState

WINDOW: Final = 90 * DAY  # after it the rail refuses
TEXT: Final = "Devolução PIX"
TERMS: Final = RefundTerms(window=WINDOW, holds=True, gives_fee_back=False)


@dataclass(frozen=True, slots=True)
class PixRefunder:
    """`Refunder` over the bank behind each provider account."""

    db: Database
    bank: Callable[[Account], PixReturns]
    refund_terms: ClassVar[RefundTerms] = TERMS

    async def refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        """Ask for the return. What the bank may have carried out is asked about, never sent twice."""
        try:
            made = await (await self._bank(order)).request_return(
                order.receipt_ref, name_of(order), order.amount.minor, _text(order)
            )
        except port.Refused as refused:
            return _failed(refused.code, refused.rail_code, refused.detail)
        except port.CallFailed:
            return RefundAnswer(RefundState.UNKNOWN)
        return answer_of(made, order)

    async def fetch_refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        try:
            found = await (await self._bank(order)).get_return(order.receipt_ref, name_of(order))
        except port.CallFailed:
            return RefundAnswer(RefundState.UNKNOWN)
        return RefundAnswer(RefundState.ABSENT) if found is None else answer_of(found, order)

    async def _bank(self, order: RefundOrder) -> PixReturns:
        account = await self.db.read(lambda tx: accounts.account(tx, int(order.account)))
        if account is None:
            raise port.NotSent("the account of the receipt is gone")
        return self.bank(account)


def name_of(order: RefundOrder) -> str:
    """Return the name a refund has at the bank: `PIXRET…`."""
    return order.public_id or order.reference.replace("-", "")


def answer_of(found: ProviderReturn, order: RefundOrder) -> RefundAnswer:
    """Return what a bank's return says of a refund. One of another amount says nothing."""
    if found.amount_centavos != order.amount.minor:
        return RefundAnswer(RefundState.UNKNOWN)
    match found.state:
        case ReturnState.COMPLETED:
            return RefundAnswer(RefundState.COMPLETED, found.return_id)
        case ReturnState.PROCESSING:
            return RefundAnswer(RefundState.PENDING, found.return_id)
        case ReturnState.FAILED:
            return _failed(found.code, found.rail_code, found.reason)
        case ReturnState.UNKNOWN:
            return RefundAnswer(RefundState.UNKNOWN)


def _failed(code: str | None, rail_code: str | None, detail: str | None) -> RefundAnswer:
    failure = failure_of(code, rail_code, detail)
    return RefundAnswer(RefundState.FAILED, code=failure.code, message=failure.reason)


def _text(order: RefundOrder) -> str:
    """Return what the payer reads."""
    return str(json.loads(order.detail or "{}").get("text") or TEXT)
