"""All payments: what was asked, whatever the gateway charged."""

from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.money import render
from opentill.kernel.owner import Owner
from opentill.payments import queries
from opentill.payments.exports.cells import exact, harmless
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheet import Sheet
from opentill.payments.queries import ExportLine, Filters

HEAD: Final = (
    *("created_at", "transaction_id", "payment_id", "order_id", "status", "gateway", "amount", "currency", "fee"),
    *("amount_refunded", "charge_amount", "charge_currency", "gateway_trx_id", "completed_at"),
)


def page(tx: ReadTx, wanted: Wanted, cursor: str, owner: Owner, now: Instant) -> Page:
    filters = Filters(
        statuses=(wanted.status,) if wanted.status else None,
        gateway=wanted.gateway or None,
        since=wanted.since,
        before=wanted.before,
        order_id=wanted.order_id or None,
    )
    found = queries.export(tx, filters=filters, owner=owner, now=now, before=int(cursor) if cursor else None)
    more = len(found) == queries.EXPORT_PAGE
    return Page(
        [_cells(line) for line in found],
        str(found[-1].id) if more else None,
        found[-1].created_at if found else None,
    )


def _cells(line: ExportLine) -> tuple[str, ...]:
    return (
        iso_seconds(line.created_at),
        line.reference,
        line.uuid,
        harmless(line.order_id),
        line.status,
        harmless(line.gateway),
        render(line.amount),
        line.amount.currency.code,
        exact(line.fee.units, line.fee.currency.code),
        render(line.refunded),
        render(line.charge) if line.charge else "",
        line.charge.currency.code if line.charge else "",
        harmless(line.gateway_ref),
        iso_seconds(line.completed_at) if line.completed_at else "",
    )


SHEET: Final = Sheet("payments", "payments.view", HEAD, page)
