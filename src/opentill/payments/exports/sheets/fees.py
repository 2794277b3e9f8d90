"""All fees as the ledger has them: what each payment and payout cost, and what went back with a refund."""

from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.growing import first_id
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.owner import Owner
from opentill.ledger import FEES
from opentill.ledger.explorer import NEVER
from opentill.payments.exports.cells import exact, harmless
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheet import Sheet

PAGE: Final = 1_000
HEAD: Final = ("date", "journal", "what", "source", "source_id", "transaction_id", "gateway", "currency", "fee")


def page(tx: ReadTx, wanted: Wanted, cursor: str, owner: Owner, now: Instant) -> Page:
    """Read fees of a span of time, oldest first. A journal has one at most."""
    found = tx.all(
        """
        select j.id, j.created_at, j.kind, j.source_type, j.source_id, j.currency, p.units,
               coalesce(paid.reference, given_back.reference) as reference,
               coalesce(paid.gateway, given_back.gateway) as gateway
          from ledger_account a
          join posting p on p.account_id = a.id and p.journal_id > :after and p.journal_id >= :first
          join journal j on j.id = p.journal_id and j.created_at >= :since and j.created_at < :before
          left join payment paid on j.source_type = 'payment' and paid.uuid = j.source_id
          left join refund r on j.source_type = 'refund' and r.uuid = j.source_id
          left join payment given_back on given_back.id = r.payment_id
         where a.merchant_id = :merchant_id and a.mode = :mode and a.kind = :kind
         order by p.journal_id limit :limit
        """,
        after=int(cursor or 0),
        first=first_id(tx, "journal", wanted.since or Instant(0)),
        since=wanted.since or 0,
        before=wanted.before if wanted.before is not None else NEVER,
        kind=FEES.kind,
        limit=PAGE,
        **owner.columns,
    )
    return Page(
        [_cells(row) for row in found],
        str(found[-1]["id"]) if len(found) == PAGE else None,
        found[-1]["created_at"] if found else None,
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        iso_seconds(row["created_at"]),
        str(row["id"]),
        row["kind"],
        row["source_type"],
        row["source_id"],
        row["reference"] or "",
        harmless(row["gateway"]),
        row["currency"],
        exact(row["units"], row["currency"]),
    )


SHEET: Final = Sheet("fees", "reports.view", HEAD, page)
