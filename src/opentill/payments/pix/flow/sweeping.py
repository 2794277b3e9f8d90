"""Listing what arrived at a bank account, and booking what is missing (pix-rail.md §6.8)."""

from collections.abc import Callable, Sequence
from typing import Final

from opentill.db import ReadTx
from opentill.gateways.rounds import Lanes, Round
from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant
from opentill.kernel.failpoints import reach
from opentill.payments.pix.flow.bank import BATCH, book, log, tell
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.model import Account

SWEEP_EVERY: Final = 3 * MINUTE
PAGES_MAX: Final = 1_000  # of one window; a bank that has always one more is not followed


async def sweep(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """List what arrived at each bank account since the last good sweep and book what is missing.

    Return how many accounts were due. One whose bank does not answer stays due, and keeps no other waiting.
    """
    now, swept = tools.clock.now(), 0
    lanes, faults = lanes or Lanes[int](), list[Exception]()
    due = await tools.db.read(_due_after(0, now))
    while due:
        try:
            swept += await lanes.each(due, lambda account: account.id, lambda account: _sweep_account(tools, account))
        except ExceptionGroup as met:  # told once every account had its turn
            faults += met.exceptions
        due = await tools.db.read(_due_after(due[-1].id, now))
    if faults:
        raise ExceptionGroup("some accounts could not be swept", faults)
    return swept


async def sweep_days(tools: Tools, account: Account, days: int) -> None:
    """Book what is missing of an account's last days once more: what a bank listed late, and what it took back."""
    end = Instant(tools.clock.now() - 10 * SECOND)
    await sweep_window(tools, account, Instant(end - days * DAY), end)


async def sweep_window(tools: Tools, account: Account, start: Instant, end: Instant) -> bool:
    """Book a window page by page; return whether all of it could be read."""
    pages = Round[Sequence[port.ProviderReceipt]](lambda receipts: book(tools, account, receipts))
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        try:
            page = await tools.receiver(account).list_receipts(start, end, cursor)
        except port.CallFailed as failure:
            tell(account, "receipt.list", failure)
            break
        if page.unreadable:
            log.error("unreadable receipts", account=account.id, count=page.unreadable, start=start, end=end)
        reach("sweep.listed")
        await pages.take([page.items])
        cursor = page.cursor
        if cursor is None:
            pages.end()
            return True
    pages.end()
    return False


def _due_after(account_id: int, now: Instant) -> Callable[[ReadTx], Sequence[Account]]:
    """Return how to read the accounts whose turn it is, those after an id."""
    swept_before = Instant(now - SWEEP_EVERY)
    return lambda tx: charges.active_accounts(tx, swept_before=swept_before, now=now, after_id=account_id, limit=BATCH)


async def _sweep_account(tools: Tools, account: Account) -> None:
    """Sweep what came since the last good end. The window is closed only once all of it could be read and booked."""
    start, end = rail.sweep_window(account, now=tools.clock.now())
    if await sweep_window(tools, account, start, end):
        reach("sweep.booked")
        await tools.db.write(lambda tx: charges.set_swept(tx, account, until=end, now=tools.clock.now()))
        reach("sweep.closed")
