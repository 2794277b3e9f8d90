"""Looking after the banks: that they still know where to tell us things, and that nothing they told us was missed.

Each job takes every active account, a lane each, so that one bank that hangs delays nobody else.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final

import structlog

from opentill.db import ReadTx
from opentill.gateways.rounds import Lanes
from opentill.payments.matching import flow as matching
from opentill.payments.pix import flow as pix_flow
from opentill.payments.tools import Tools
from opentill.pix import service as rail
from opentill.pix.model import Account
from opentill.pix.port import CallFailed

BATCH: Final = 100
DAYS_SWEPT: Final = 2

log = structlog.get_logger("opentill.payments")


async def check_webhooks(tools: Tools, public_url: str) -> int:
    """Put back every notification address that a bank lost or changed; return how many accounts were looked at."""

    async def check(account: Account) -> None:
        bank = tools.receiver(account)
        if not bank.capabilities.webhook:
            return
        keys, path = await tools.db.read(
            lambda tx: (rail.keys_of(tx, account), rail.hook_path(tx, account, keyring=tools.keyring))
        )
        for key in keys:
            await bank.ensure_webhook(key, public_url + path)

    return await for_every_account(tools, check)


async def sweep_two_days(tools: Tools) -> int:
    """List what arrived in the last two days once more at every bank; return how many accounts were swept.

    The usual sweep is always right about what a bank lists in time. This one finds what it listed late.
    """
    return await for_every_account(tools, lambda account: pix_flow.sweep_days(tools, account, DAYS_SWEPT))


async def match_day(tools: Tools, day: date) -> int:
    """Match a day of every account with what its bank says; return how many accounts there are."""

    async def match(account: Account) -> None:
        try:
            await matching.match_day(tools, account, day)
        except CallFailed as failure:
            log.warning("a day could not be matched", account=account.id, day=day.isoformat(), error=str(failure))

    return await for_every_account(tools, match)


async def for_every_account(tools: Tools, work: Callable[[Account], Awaitable[object]]) -> int:
    """Do something for every active account; return how many there are. Raises what some of them met, together."""
    lanes, done, faults, after_id = Lanes[int](), 0, list[Exception](), 0
    while True:

        def read(tx: ReadTx, after: int = after_id) -> list[Account]:
            return list(rail.active_accounts(tx, after_id=after, limit=BATCH))

        accounts = await tools.db.read(read)
        if not accounts:
            break
        try:
            done += await lanes.each(accounts, lambda account: account.id, work)
        except ExceptionGroup as met:  # told once every account had its turn
            faults += met.exceptions
        after_id = accounts[-1].id
    if faults:
        raise ExceptionGroup("some accounts could not be looked after", faults)
    return done
