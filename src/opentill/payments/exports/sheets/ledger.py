"""The postings of an account, or of all accounts one after the other: each sum is that of the books."""

from typing import Final

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.owner import Owner
from opentill.ledger import explorer
from opentill.payments.exports.cells import exact, harmless
from opentill.payments.exports.model import Page, Wanted
from opentill.payments.exports.sheet import Sheet

HEAD: Final = ("date", "journal", "line", "what", "source", "source_id", "account", "gateway", "currency", "amount")


def page(tx: ReadTx, wanted: Wanted, cursor: str, owner: Owner, now: Instant) -> Page:
    """Read on in the account the cursor is in, or begin with the next one."""
    at, last = map(int, cursor.split("/")) if cursor else (0, 0)
    chosen = [one for one in explorer.accounts(tx, owner=owner) if wanted.account in (0, one["id"])]
    left = sorted((one for one in chosen if one["id"] >= at), key=lambda one: int(one["id"]))
    if not left:
        return Page((), None)
    account = left[0]
    found = explorer.postings_between(
        tx,
        account["id"],
        owner=owner,
        since=wanted.since or Instant(0),
        until=wanted.before if wanted.before is not None else explorer.NEVER,
        after=last if account["id"] == at else 0,
    )
    more = len(found) == explorer.PAGE_MAX
    # A journal is not cut in two: its last lines come with the next page, all together.
    whole = [row for row in found if not more or row["journal_id"] != found[-1]["journal_id"]]
    following = f"{account['id']}/{whole[-1]['journal_id']}" if more else f"{left[1]['id']}/0" if left[1:] else None
    return Page([_cells(row, account) for row in whole], following, whole[-1]["created_at"] if whole else None)


def _cells(row: Row, account: Row) -> tuple[str, ...]:
    texts = (row["kind"], row["source_type"], row["source_id"], account["kind"], account["gateway"])
    return (
        iso_seconds(row["created_at"]),
        str(row["journal_id"]),
        str(row["line"]),
        *map(harmless, texts),
        account["currency"],
        exact(row["units"], account["currency"]),
    )


SHEET: Final = Sheet("ledger", "reports.view", HEAD, page)
