"""The one place where money that arrived is written down: its receipt, its journal, and who must look at it.

Each function counts a receipt once: it says False, and does nothing, for money that is counted already. The payment
of the money, where there is one, is locked by the caller.
"""

from collections.abc import Sequence

from opentill import ledger
from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.failpoints import reach
from opentill.kernel.money import Money
from opentill.operators.reasons import Reason
from opentill.payments import rules, store
from opentill.payments.infractions import service as infractions
from opentill.payments.infractions.model import Infraction
from opentill.payments.model import BookedReceipt, Payment, Receipt
from opentill.payments.review import queue as review
from opentill.pix.model import BRL


def complete(tx: Tx, receipt: Receipt, completed: Payment, *, accepted: bool = False, now: Instant) -> bool:
    """Book the money that completes a payment, by a gateway's word or a person's, and save the payment as completed."""
    fee = rules.fee_at_gateway(completed, receipt.amount)

    def count(tx: Tx) -> int | None:
        return store.insert_receipt(
            tx,
            receipt,
            payment_id=completed.id,
            fee=fee,
            origin="charge",
            late=completed.late,
            accepted=accepted,
            now=now,
        )

    counted, short = tx.together(count, lambda tx: _short_blocks(tx, receipt))
    if counted is None:
        return False
    reach("receipt.counted")
    store.update(tx, completed)
    ledger.post(tx, rules.paid_journal(completed, receipt, fee=fee), now=now)
    infractions.top_up(tx, short, owner=receipt.owner, now=now)
    reach("receipt.booked")
    return True


def accept(tx: Tx, receipt: BookedReceipt, completed: Payment, *, now: Instant) -> None:
    """Give the merchant held money that a person let complete the payment, and save the payment as completed."""
    fee = rules.fee_at_gateway(completed, receipt.amount)
    store.accept_receipt(tx, receipt, fee=fee, late=completed.late)
    store.update(tx, completed)
    short = _short_blocks(tx, receipt)
    ledger.post(tx, rules.accepted_journal(completed, receipt, fee=fee), now=now)
    infractions.top_up(tx, short, owner=receipt.owner, now=now)
    reach("receipt.accepted")


def credit(
    tx: Tx, receipt: Receipt, *, fee: Money, origin: str, payment_id: int | None, public_id: str | None, now: Instant
) -> int | None:
    """Book money that completes no payment as the merchant's; return the receipt's number."""
    counted = store.insert_receipt(
        tx, receipt, payment_id=payment_id, fee=fee, origin=origin, public_id=public_id, now=now
    )
    if counted is not None:
        short = _short_blocks(tx, receipt)
        ledger.post(tx, rules.credited_journal(receipt, str(counted), fee=fee), now=now)
        infractions.top_up(tx, short, owner=receipt.owner, now=now)
        reach("receipt.credited")
    return counted


def hold(tx: Tx, receipt: Receipt, parked: Payment, reason: Reason, *, now: Instant) -> bool:
    """Book money that is not what was asked for as held, save its payment as parked, and call a person."""
    nothing = Money(0, receipt.amount.currency)
    counted = store.insert_receipt(
        tx, receipt, payment_id=parked.id, fee=nothing, origin="charge", state="held", now=now
    )
    if counted is None:
        return False
    store.update(tx, parked)
    ledger.post(tx, rules.parked_journal(receipt, str(counted)), now=now)
    kind = review.LATE if reason is Reason.LATE else review.MISMATCH
    review.open_item(tx, parked, reason, receipt_id=counted, kind=kind, now=now)
    reach("receipt.held")
    return True


def suspend(tx: Tx, receipt: Receipt, reason: Reason, *, public_id: str, now: Instant) -> bool:
    """Book money nobody here owns in suspense (L14), and call a person."""
    nothing = Money(0, receipt.amount.currency)
    counted = store.insert_receipt(
        tx, receipt, payment_id=None, fee=nothing, origin="direct", state="suspense", public_id=public_id, now=now
    )
    if counted is None:
        return False
    ledger.post(tx, rules.unowned_journal(receipt, str(counted)), now=now)
    review.open_receipt(tx, receipt, reason, receipt_id=counted, now=now)
    reach("receipt.suspended")
    return True


def _short_blocks(tx: Tx, receipt: Receipt | BookedReceipt) -> Sequence[Infraction]:
    """Return what waits for money like this, locked."""
    return infractions.short_blocks(tx, owner=receipt.owner) if receipt.amount.currency == BRL else ()
