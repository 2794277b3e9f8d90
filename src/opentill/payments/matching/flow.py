"""Matching a day of a bank account: read both sides, tell a person what differs, and carry out what is proposed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import TypeVar

import structlog

from opentill import ledger
from opentill.db import Tx
from opentill.kernel.calendar import day_begins, day_ends, day_of
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import Refused
from opentill.kernel.money import Money
from opentill.ledger import SUSPENSE, Entry, Journal, clearing
from opentill.operators.reasons import Reason
from opentill.operators.review import call_person
from opentill.payments.matching import queries
from opentill.payments.matching.rules import Action, Difference, Line, compare
from opentill.payments.tools import Tools
from opentill.pix import service as rail
from opentill.pix.model import BRL, Account
from opentill.pix.port import Page, ProviderReceipt, StatementLine

PAGES_MAX = 1_000  # of one list
JOURNAL = "match.suspended"

log = structlog.get_logger("opentill.payments")
T = TypeVar("T", ProviderReceipt, StatementLine)


async def match_day(tools: Tools, account: Account, day: date) -> Sequence[Difference]:
    """Compare a day of São Paulo with the bank's statement, or its receipts where it has none, and call a person.

    Raises `CallFailed` where the bank does not say; nothing is compared then. Safe to repeat.
    """
    statement = tools.payer(account).capabilities.statement
    theirs, near = await (_statement(tools, account, day) if statement else _receipts(tools, account, day))

    def read_and_tell(tx: Tx) -> Sequence[Difference]:
        start, end = day_begins(day), day_ends(day)
        wide = day_begins(day - timedelta(days=1)), day_ends(day + timedelta(days=1))
        ours = queries.booked(tx, account, start, end, receipts_only=not statement)
        known = queries.booked(tx, account, *wide, receipts_only=not statement)
        found = compare(ours, theirs, known=known, near=near)
        for difference in found:
            _call(tx, account, day, difference, now=tools.clock.now())
        return found

    differences = await tools.db.write(read_and_tell)
    if differences:
        log.error("the bank's day is not ours", account=account.id, day=day.isoformat(), differences=len(differences))
    return differences


async def apply(tools: Tools, account: Account, day: date, differences: Sequence[Difference]) -> int:
    """Carry out what was proposed; return for how many. What the bank has more is read there before it is booked.

    An amount in doubt moves between clearing and suspense, once, where a person finds it.
    """

    def carry_out(tx: Tx) -> int:
        now, done = tools.clock.now(), 0
        for difference in differences:
            match difference.action:
                case Action.READ:
                    rail.have_read(tx, account, difference.name, now=now)
                case Action.SUSPEND if not _is_suspended(tx, account, day, difference):
                    ledger.post(tx, suspended_journal(account, day, difference), now=now)
                case _:
                    continue
            done += 1
        return done

    return await tools.db.write(carry_out)


def suspended_journal(account: Account, day: date, difference: Difference) -> Journal:
    """Return the journal that has clearing agree with the bank, at the cost of suspense."""
    off = Money(difference.off_units, BRL)
    entries = (Entry(clearing(f"pix:{account.id}"), -off), Entry(SUSPENSE, off))
    return Journal(account.owner, JOURNAL, "match", _source(account, day, difference), entries)


def _source(account: Account, day: date, difference: Difference) -> str:
    return f"{account.id}:{day.isoformat()}:{difference.name}:{difference.kind}"


def _is_suspended(tx: Tx, account: Account, day: date, difference: Difference) -> bool:
    row = tx.one_or_none(
        """
        select id from journal
         where merchant_id = :merchant_id and source_type = 'match' and source_id = :source and kind = :kind
        """,
        merchant_id=account.owner.merchant_id,
        source=_source(account, day, difference),
        kind=JOURNAL,
    )
    return row is not None


def _call(tx: Tx, account: Account, day: date, difference: Difference, *, now: Instant) -> None:
    detail = {
        "account": account.id,
        "day": day.isoformat(),
        "name": difference.name,
        "ours_units": difference.ours_units,
        "bank_units": difference.bank_units,
        "proposal": difference.action.value,
    }
    subject = f"{account.id}:{day}:{difference.name}"
    reason = Reason[f"MATCH_{difference.kind.name}"]
    call_person(tx, account.owner, "bank_line", subject, reason, detail, now=now)


async def _statement(tools: Tools, account: Account, day: date) -> tuple[Sequence[Line], frozenset[str]]:
    """Return the bank's movements of a day, and the names of those of the days beside it."""
    bank, lines = tools.payer(account), {}
    today = day_of(tools.clock.now())
    for each in (day - timedelta(days=1), day, day + timedelta(days=1)):
        if each <= today:
            lines[each] = await _all(lambda cursor, on=each: bank.statement(on, cursor))  # type: ignore[misc]
    ours = queries.listed([(line.line_id, line.amount_centavos) for line in lines.get(day, ())])
    return ours, frozenset(line.line_id for on, found in lines.items() if on != day for line in found)


async def _receipts(tools: Tools, account: Account, day: date) -> tuple[Sequence[Line], frozenset[str]]:
    """Return the same of what came in alone."""
    start, end = day_begins(day - timedelta(days=1)), day_ends(day + timedelta(days=1))
    until = Instant(min(end, tools.clock.now() - 10 * SECOND))
    bank = tools.receiver(account)
    found = await _all(lambda cursor: bank.list_receipts(start, until, cursor))
    inside = [receipt for receipt in found if day_begins(day) <= receipt.settled_at < day_ends(day)]
    lines = queries.listed([(receipt.e2e_id, receipt.amount_centavos) for receipt in inside])
    return lines, frozenset(receipt.e2e_id for receipt in found) - {receipt.e2e_id for receipt in inside}


async def _all(read: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Return all pages of a list. Raises Refused for one that has no end."""
    found: list[T] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await read(cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found
    raise Refused("ENDLESS_LIST", "The bank's list has no end.")
