"""The ledger: balances with their trial balance, statements of accounts, single journals, and exports that add up."""

from collections import defaultdict
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.db import Row
from opentill.kernel.errors import NotFound
from opentill.ledger import explorer

PAGE: Final = 50


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
    since, until, asked = sheets.span(visit)
    totals = await visit.read(lambda tx: explorer.totals_between(tx, owner=visit.owner, since=since, until=until))
    return visit.render("admin/reports/index.html", {"totals": totals, **asked})


async def export(visit: Visit) -> Response:
    """Send the postings of an account, or of all, in a span of days, as CSV."""
    return _sheet(visit, "ledger")


async def fees(visit: Visit) -> Response:
    """Send the fees of a span of days as CSV, those that went back with a refund too."""
    return _sheet(visit, "fees")


def _sheet(visit: Visit, name: str) -> Response:
    since, until, days = sheets.span(visit)
    file = f"{name}-{visit.path('merchant')}-{days['since']}-{days['until']}.csv"
    return sheets.sent(visit, name, file, replace(sheets.wanted_of(visit), since=since, before=until))


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
    Screen("GET", "/m/{merchant}/reports/fees.csv", fees, "reports.view"),
)
