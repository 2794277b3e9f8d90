"""Refunds on the wire of the merchant API (merchant-api.md §9.6)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.money import Currency, MalformedAmountError, parse, render
from opentill.payments.fields import Fields
from opentill.payments.refunds.model import ShownRefund

REASON_MAX: Final = 500
REF_MAX: Final = 255
SIGNED: Final = re.compile(r"\s*-\s*(?P<amount>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """The body of POST /refunds. The amount is read once the payment's currency is known."""

    ref_field: str
    ref: str
    amount: str | None
    reason: str

    def units(self, of: Currency) -> int | None:
        """Return the wanted units, None for all that is left. Raises Invalid.

        A minus is understood, because a negative amount is refused for what it asks, not for how it is written.
        """
        if self.amount is None:
            return None
        negative = SIGNED.fullmatch(self.amount)
        try:
            units = parse(negative["amount"] if negative else self.amount, of).units
        except MalformedAmountError as malformed:
            raise Invalid([Fault("amount", "INVALID_AMOUNT", str(malformed))]) from malformed
        return -units if negative else units


def parse_refund(fields: Mapping[str, Any]) -> Asked:
    """Read the body of POST /refunds. Raises Invalid with every fault."""
    read = Fields(fields)
    name, _ = read.raw("transaction_id", "trx_id")
    ref = read.text("transaction_id", "trx_id")
    if ref is None and not read.faults:
        read.fault(name, "TRANSACTION_ID_REQUIRED", "The transaction_id field is required.")
    amount_name, amount = read.raw("amount")
    if amount is not None and not isinstance(amount, str):
        read.fault(amount_name, "INVALID_AMOUNT", "The amount must be a plain decimal number, for example 99.90.")
    reason = read.text("reason", cut=REASON_MAX)
    if read.faults:
        raise Invalid(read.faults)
    return Asked(name, ref or "", str(amount) if amount is not None else None, reason or "")


def refund_object(shown: ShownRefund) -> dict[str, Any]:
    """Return the refund object."""
    refund = shown.refund
    converted = refund.charge.currency != refund.amount.currency
    return {
        "id": refund.id,
        "uuid": refund.uuid,
        "transaction_id": shown.transaction_id,
        "trx_id": shown.reference,
        "payment_id": shown.payment_uuid,
        "gateway_trx_id": shown.gateway_trx_id,
        "amount": render(refund.amount),
        "currency": refund.amount.currency.code,
        "charge": {"amount": render(refund.charge), "currency": refund.charge.currency.code} if converted else None,
        "reason": refund.reason,
        "status": refund.status.value,
        "gateway_refund_id": refund.gateway_ref,
        "failure_code": refund.failure_code,
        "failure_message": refund.failure_message,
        "processed_at": iso_seconds(refund.processed_at) if refund.processed_at is not None else None,
        "created_at": iso_seconds(refund.created_at),
    }
