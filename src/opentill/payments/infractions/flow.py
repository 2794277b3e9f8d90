"""Contests and the bank: what it lists is booked, what merchants answer is handed on (pix-rail.md §9)."""

import json
from collections.abc import Awaitable
from typing import Final

import structlog

from opentill.db import Tx
from opentill.gateways.rounds import Lanes, Round, each
from opentill.kernel.clock import DAY, MINUTE, Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.payments.infractions import service, store
from opentill.payments.infractions.model import Infraction
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as accounts
from opentill.pix.model import Account
from opentill.pix.port import Evidence

BATCH: Final = 100
LISTED_EVERY: Final = 10 * MINUTE
LISTED_BACK: Final = 7 * DAY  # before the last time: what changed lately is listed again, and while a bank was away
LISTED_MAX: Final = 90 * DAY
PAGES_MAX: Final = 100

log = structlog.get_logger("opentill.payments")


async def list_due(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """Ask each bank whose turn it is for contests, and book what it says; return how many banks were asked."""
    lanes, now = lanes or Lanes[int](), tools.clock.now()
    before = Instant(now - LISTED_EVERY)
    due = await tools.db.read(
        lambda tx: accounts.accounts_to_list(tx, listed_before=before, limit=BATCH, but=lanes.busy)
    )
    return await lanes.each(due, lambda account: account.id, lambda account: _list(tools, account))


async def read(tools: Tools, account: Account, ref: str) -> bool:
    """Read the contest a notification named, and book what the bank says; return whether it is dealt with."""
    try:
        said = await tools.payer(account).get_infraction(ref)
    except port.CallFailed as failure:
        _tell(account.id, "infraction.read", failure)
        return False
    if said is None:
        return False
    await _hear(tools, account, said)
    return True


async def work_due(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """Hand defences on, remind of deadlines, end what was watched long enough; return how many contests were due.

    Each bank has a lane of its own.
    """
    lanes = lanes or Lanes[int]()

    def put_off(infraction: Infraction) -> Awaitable[bool]:
        later = after(tools.clock.now(), LISTED_EVERY)
        return tools.db.write(lambda tx: service.take(tx, infraction, until=later))

    due = await tools.db.read(lambda tx: store.due(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(
        due,
        lambda infraction: infraction.receipt.account_id,
        lambda infraction: _work(tools, infraction),
        put_off=put_off,
    )


async def top_up_due(tools: Tools) -> int:
    """Fill blocks up with money that came back to the merchant from payouts; return how many merchants had some."""
    due = await tools.db.read(lambda tx: store.owners_short(tx, limit=BATCH))

    def fill(tx: Tx, owner: Owner) -> None:
        service.top_up(tx, service.short_blocks(tx, owner=owner), owner=owner, now=tools.clock.now())

    return await each(due, lambda owner: tools.db.write(lambda tx: fill(tx, owner)))


async def _list(tools: Tools, account: Account) -> None:
    """List what is new, and what changed lately, once more. A contest that cannot be booked keeps no other waiting."""
    now, bank = tools.clock.now(), tools.payer(account)
    since = Instant(max(min(account.infractions_listed_at, now) - LISTED_BACK, now - LISTED_MAX))
    heard = Round[port.ProviderInfraction](lambda said: _hear(tools, account, said))
    if bank.capabilities.infractions:
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            try:
                page = await bank.list_infractions(since, now, cursor)
            except port.CallFailed as failure:
                _tell(account.id, "infraction.list", failure)
                break
            await heard.take(page.items)
            cursor = page.cursor
            if cursor is None:
                break
    await tools.db.write(lambda tx: accounts.set_listed(tx, account, at=now))
    heard.end()


async def _hear(tools: Tools, account: Account, said: port.ProviderInfraction) -> None:
    await tools.db.write(lambda tx: service.hear(tx, account, said, ids=tools.ids, now=tools.clock.now()))
    reach("contest.heard")


async def _work(tools: Tools, infraction: Infraction) -> None:
    if infraction.task == service.TO_SEND:
        await _hand_on(tools, infraction)
    else:
        await tools.db.write(lambda tx: service.remind_or_close(tx, infraction, ids=tools.ids, now=tools.clock.now()))


async def _hand_on(tools: Tools, infraction: Infraction) -> None:
    """Give a defence to the bank, or to an operator where the bank takes none this way. One worker does."""
    until = after(tools.clock.now(), MINUTE)
    if not await tools.db.write(lambda tx: service.take(tx, infraction, until=until)):
        return
    reach("defence.taken")
    account = await tools.db.read(lambda tx: accounts.find_account(tx, infraction.receipt.account_id))
    bank = tools.payer(account) if account else None
    by_hand = bank is None or not bank.capabilities.defenses
    if bank is not None and not by_hand:
        evidence = [Evidence(**item) for item in json.loads(infraction.evidence or "[]")]
        try:
            await bank.send_defense(infraction.ref, infraction.defense_text or "", evidence)
            reach("defence.sent")
        except (port.Refused, port.Denied) as refused:
            _tell(infraction.receipt.account_id, "infraction.defend", refused)
            by_hand = not await _is_defended(bank, infraction)
        except port.CallFailed as away:  # it stays with us for a minute
            _tell(infraction.receipt.account_id, "infraction.defend", away)
            return
    await tools.db.write(lambda tx: service.handed_on(tx, infraction, by_hand=by_hand, now=tools.clock.now()))


async def _is_defended(bank: port.PixPayout, infraction: Infraction) -> bool:
    """Tell whether the bank refused a defence because it has it already: it was sent before, by one who died then."""
    try:
        said = await bank.get_infraction(infraction.ref)
    except port.CallFailed:
        return False
    return said is not None and said.state is port.InfractionState.DEFENDED


def _tell(account_id: int, operation: str, failure: port.CallFailed) -> None:
    log.warning(
        "bank call failed", account=account_id, operation=operation, outcome=failure.outcome, error=str(failure)
    )
