"""What the completion of a payment says, and what it means for the link or invoice the payment was made from.

A link has counted the payment already: its guards do, in the statement that completes it (migration 0003).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opentill.db import Tx
from opentill.events import record
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.operators.reasons import Reason
from opentill.payments.documents import payment_event
from opentill.payments.invoices import store as invoices
from opentill.payments.model import InvoiceName, InvoiceStatus, Payment
from opentill.payments.review import queue as review


def record_completed(
    tx: Tx, completed: Payment, *, ids: Ids, now: Instant, pix_type: str | None = None, **parts: Mapping[str, Any]
) -> None:
    """Record `payment.completed` of a locked, saved payment, and with it `payment_link.paid` or `invoice.paid`."""
    told, settles = completed, False
    if completed.invoice is not None:
        told, settles = _settled(tx, completed, completed.invoice, now=now)
    record(tx, payment_event("payment.completed", told, at=now, pix_type=pix_type, **parts), ids=ids)
    if completed.link is not None:
        record(tx, payment_event("payment_link.paid", told, at=now), ids=ids)
    if settles:
        record(tx, payment_event("invoice.paid", told, at=now), ids=ids)
    elif completed.invoice is not None:
        review.open_completed(tx, completed, Reason.INVOICE_OVER, now=now)


def _settled(tx: Tx, completed: Payment, invoice: InvoiceName, *, now: Instant) -> tuple[Payment, bool]:
    """Count the money for the invoice; tell whether it is what pays it. Money is a fact, also for a cancelled one."""
    settles = invoices.pay(tx, invoice.id, completed, now=now)
    status = InvoiceStatus.PAID if settles else invoices.status(tx, invoice.id, owner=completed.owner)
    return replace(completed, invoice=replace(invoice, stored_status=status)), settles
