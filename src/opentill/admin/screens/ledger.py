"""The ledger: balances with their trial balance, statements of accounts, single journals, and exports that add up."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from opentill.admin import sheets
from opentill.admin.numbers import day_start, number
from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.db import Row
from opentill.kernel.clock import DAY, Instant, after, iso_seconds
from opentill.kernel.errors import NotFound
from opentill.ledger import explorer

PAGE: Final = 50
HEAD: Final = ("date", "journal", "line", "what", "source", "source_id", "account", "gateway", "currency", "amount")


async def index(visit: Visit) -> Response:
    """Show every account, and that each currency adds up to nothing."""
    accounts = await visit.read(lambda tx: explorer.accounts(tx, owner=visit.owner))
    totals: dict[str, int] = defaultdict(int)
    for account in accounts:
        totals[account["currency"]] += account["balance_units"]
    return visit.render("admin/ledger/index.html", {"accounts": accounts, "totals": totals})


async def account(visit: Visit) -> Response:
    """Show an account's postings, newest first."""
    found = await _account(visit)
    before = number(visit.query("before"))
    postings = await visit.read(
        lambda tx: explorer.statement(tx, found["id"], owner=visit.owner, limit=PAGE + 1, before=before or None)
    )
    facts = {"account": found, "postings": postings[:PAGE], "more": len(postings) > PAGE}
    return visit.render("admin/ledger/account.html", facts)


async def journal(visit: Visit) -> Response:
    """Show one journal: what happened, and each line of it."""
    found = await visit.read(lambda tx: explorer.journal(tx, number(visit.path("journal")), owner=visit.owner))
    if found is None:
        raise NotFound("JOURNAL_NOT_FOUND", "No such journal.")
    return visit.render("admin/ledger/journal.html", {"journal": found[0], "lines": found[1]})


async def reports(visit: Visit) -> Response:
    """Show what moved in a span of days, account by account; each sum is that of its export."""
    since, until, asked = _span(visit)
    totals = await visit.read(lambda tx: explorer.totals_between(tx, owner=visit.owner, since=since, until=until))
    return visit.render("admin/reports/index.html", {"totals": totals, **asked})


async def export(visit: Visit) -> Response:
    """Send the postings of an account, or of all, in a span of days, as CSV."""
    since, until, asked = _span(visit)
    wanted = number(visit.query("account"))
    accounts = await visit.read(lambda tx: explorer.accounts(tx, owner=visit.owner))
    chosen = [one for one in accounts if not wanted or one["id"] == wanted]
    name = f"ledger-{visit.path('merchant')}-{asked['since']}-{asked['until']}.csv"
    return StreamingResponse(
        _lines(visit, chosen, since, until),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _lines(visit: Visit, accounts: Sequence[Row], since: Instant, until: Instant) -> AsyncIterator[bytes]:
    yield sheets.lines([HEAD])
    for account in accounts:
        after_id, more = 0, True
        while more:
            read = partial(
                explorer.postings_between,
                account_id=account["id"],
                owner=visit.owner,
                since=since,
                until=until,
                after=after_id,
            )
            page = await visit.read(read)
            more = len(page) == explorer.PAGE_MAX
            # A journal is not cut in two: its last lines come with the next page, all together.
            whole = [row for row in page if not more or row["journal_id"] != page[-1]["journal_id"]]
            if not whole:
                break
            yield sheets.lines([_cells(row, account) for row in whole])
            after_id = whole[-1]["journal_id"]


def _cells(row: Row, account: Row) -> tuple[str, ...]:
    texts = (row["kind"], row["source_type"], row["source_id"], account["kind"], account["gateway"])
    return (
        iso_seconds(row["created_at"]),
        str(row["journal_id"]),
        str(row["line"]),
        *map(sheets.harmless, texts),
        account["currency"],
        sheets.exact(row["units"], account["currency"]),
    )


def _span(visit: Visit) -> tuple[Instant, Instant, dict[str, Any]]:
    """Return the span of the query, whole days, by default the last thirty; and its days as the form shows them."""
    today = Instant(visit.now // DAY * DAY)
    since = day_start(visit.query("since")) or after(today, -29 * DAY)
    last = day_start(visit.query("until")) or today
    asked = {"since": iso_seconds(since)[:10], "until": iso_seconds(last)[:10]}
    return since, after(last, DAY), asked


async def _account(visit: Visit) -> Row:
    found = await visit.read(lambda tx: explorer.account(tx, number(visit.path("account")), owner=visit.owner))
    if found is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such account.")
    return found


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/ledger", index, "ledger.view"),
    Screen("GET", "/m/{merchant}/ledger/accounts/{account}", account, "ledger.view"),
    Screen("GET", "/m/{merchant}/ledger/journals/{journal}", journal, "ledger.view"),
    Screen("GET", "/m/{merchant}/reports", reports, "reports.view"),
    Screen("GET", "/m/{merchant}/reports/ledger.csv", export, "reports.view"),
)
