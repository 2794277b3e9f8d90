"""Decisions about invoices: values in, values out (merchant-api.md §10.5)."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from opentill.kernel.clock import Instant, from_datetime
from opentill.kernel.errors import Conflict
from opentill.payments.invoices.model import Invoice, Terms
from opentill.payments.model import InvoiceStatus


def end_of_day(day: date, time_zone: str) -> Instant:
    """Return the instant at which a day ends where the merchant is."""
    return from_datetime(datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone)))


def require_changeable(invoice: Invoice, terms: Terms) -> None:
    """Raise Conflict where these terms cannot be set: once sent, only the due date may move."""
    if invoice.stored_status is InvoiceStatus.DRAFT:
        return
    only_moves = terms == replace(invoice.terms, due_on=terms.due_on) != invoice.terms
    if invoice.stored_status is not InvoiceStatus.SENT or not only_moves:
        raise Conflict("INVALID_STATE", "Only a draft can be changed; of a sent invoice the due date can move.")


def require_sendable(invoice: Invoice) -> None:
    if invoice.stored_status is not InvoiceStatus.DRAFT:
        raise _refused(invoice, InvoiceStatus.SENT)


def require_payable(invoice: Invoice) -> None:
    if not invoice.payable:
        raise _refused(invoice, InvoiceStatus.PAID)


def require_cancellable(invoice: Invoice) -> None:
    if invoice.stored_status not in (InvoiceStatus.DRAFT, InvoiceStatus.SENT):
        raise _refused(invoice, InvoiceStatus.CANCELLED)


def _refused(invoice: Invoice, wanted: InvoiceStatus) -> Conflict:
    return Conflict(
        "INVALID_STATE",
        "The invoice is %(status)s and cannot be %(wanted)s.",
        status=invoice.stored_status,
        wanted=wanted,
    )
