"""The overview of a merchant: what came in, how much of it succeeded, by which gateway, and what needs a person."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from opentill.admin import charts
from opentill.admin.panel import ANY, Screen
from opentill.admin.visit import Visit
from opentill.db import ReadTx
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments import figures, queries, story
from opentill.payments.figures import Figure
from opentill.payments.queries import Filters
from opentill.webhooks.queries.attention import attention

DAYS: Final = 30
LATEST: Final = 8
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})


async def overview(visit: Visit) -> Response:
    """Show the last thirty days."""
    if not visit.may("payments.view"):
        return visit.render("admin/dashboard/bare.html")
    return visit.render("admin/dashboard/show.html", await visit.read(lambda tx: _facts(tx, visit)))


def _facts(tx: ReadTx, visit: Visit) -> dict[str, Any]:
    owner, now = visit.owner, visit.now
    today = now // DAY
    since = Instant((today - DAYS + 1) * DAY)
    found = figures.by_day(tx, owner=owner, since=since)
    latest = queries.page(tx, Filters(), owner=owner, keyring=visit.deps.keyring, now=now, limit=LATEST)
    return {
        "money": _money(found),
        "success": _success(found),
        "days": _days(found, today),
        "gateways": _gateways(found),
        "latest": latest,
        "attention": _attention(tx, owner, now),
        "charts": charts,
        "span": DAYS,
    }


def _money(found: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return what came in and what it cost, by currency, the largest count first."""
    gross: dict[str, int] = defaultdict(int)
    fees: dict[str, int] = defaultdict(int)
    counts: Counter[str] = Counter()
    for figure in found:
        if figure.detail == "completed":
            code = figure.amount.currency.code
            gross[code] += figure.amount.units
            fees[code] += figure.fee.units
            counts[code] += figure.count
    return [
        {"gross": Money(gross[code], currency(code)), "fees": Money(fees[code], currency(code)), "count": count}
        for code, count in counts.most_common()
    ]


def _success(found: Sequence[Figure]) -> dict[str, int]:
    """Return how many of the payments that ended were completed, in basis points; -1 while none has ended."""
    ended = sum(figure.count for figure in found if figure.detail in ENDED)
    completed = sum(figure.count for figure in found if figure.detail == "completed")
    made = sum(figure.count for figure in found)
    return {"ended": ended, "completed": completed, "made": made, "percent": completed * 100 // ended if ended else -1}


def _days(found: Sequence[Figure], today: int) -> list[dict[str, Any]]:
    """Return each day's payments: completed, still open, ended otherwise."""
    by_day: dict[int, Counter[str]] = defaultdict(Counter)
    for figure in found:
        kind = "completed" if figure.detail == "completed" else "ended" if figure.detail in ENDED else "open"
        by_day[figure.day][kind] += figure.count
    return [
        {"at": Instant(day * DAY), "counts": [by_day[day][kind] for kind in ("completed", "open", "ended")]}
        for day in range(today - DAYS + 1, today + 1)
    ]


def _gateways(found: Sequence[Figure]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for figure in found:
        if figure.detail == "completed":
            counts[figure.gateway] += figure.count
    return counts.most_common(4)


def _attention(tx: ReadTx, owner: Owner, now: Instant) -> dict[str, Any]:
    """Return what waits for somebody."""
    return {
        "reviews": story.reviews_open(tx, owner=owner),
        **attention(tx, owner=owner, since=after(now, -DAY)),
    }


SCREENS: Final = (Screen("GET", "/m/{merchant}", overview, ANY),)
