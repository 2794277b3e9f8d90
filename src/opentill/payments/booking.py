"""The one place where money that arrived is written down: its receipt, its journal, and who must look at it.

Each function counts a receipt once: it says False, and does nothing, for money that is counted already. The payment
of the money, where there is one, is locked by the caller.
"""

from opentill import ledger
from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.payments import review, rules, store
from opentill.payments.model import Payment, Receipt


def complete(tx: Tx, receipt: Receipt, completed: Payment, *, now: Instant) -> bool:
    """Book the money that completes a payment, and save the payment as completed."""
    counted = store.insert_receipt(
        tx, receipt, payment_id=completed.id, fee=completed.fee, origin="charge", late=completed.late, now=now
    )
    if counted is None:
        return False
    store.update(tx, completed)
    ledger.post(tx, rules.paid_journal(completed, receipt), now=now)
    return True


def credit(
    tx: Tx, receipt: Receipt, *, fee: Money, origin: str, payment_id: int | None, public_id: str | None, now: Instant
) -> int | None:
    """Book money that completes no payment as the merchant's; return the receipt's number."""
    counted = store.insert_receipt(
        tx, receipt, payment_id=payment_id, fee=fee, origin=origin, public_id=public_id, now=now
    )
    if counted is not None:
        ledger.post(tx, rules.credited_journal(receipt, str(counted), fee=fee), now=now)
    return counted


def hold(tx: Tx, receipt: Receipt, parked: Payment, reason: str, *, now: Instant) -> bool:
    """Book money that is not what was asked for as held, save its payment as parked, and call a person."""
    nothing = Money(0, receipt.amount.currency)
    counted = store.insert_receipt(
        tx, receipt, payment_id=parked.id, fee=nothing, origin="charge", state="held", now=now
    )
    if counted is None:
        return False
    store.update(tx, parked)
    ledger.post(tx, rules.parked_journal(receipt, str(counted)), now=now)
    review.open_item(tx, parked, reason, receipt_id=counted, now=now)
    return True


def suspend(tx: Tx, receipt: Receipt, reason: str, *, public_id: str, now: Instant) -> bool:
    """Book money nobody here owns in suspense (L14), and call a person."""
    nothing = Money(0, receipt.amount.currency)
    counted = store.insert_receipt(
        tx, receipt, payment_id=None, fee=nothing, origin="direct", state="suspense", public_id=public_id, now=now
    )
    if counted is None:
        return False
    ledger.post(tx, rules.unowned_journal(receipt, str(counted)), now=now)
    review.open_receipt(tx, receipt, reason, receipt_id=counted, now=now)
    return True
