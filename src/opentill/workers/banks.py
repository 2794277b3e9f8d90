"""Watching over the banks: notification addresses hourly, two days' receipts nightly, the day before every morning,
our authorisation and certificates (pix-rail.md §6.2, §6.8).

Several processes may all do this: looking twice changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from opentill.kernel.calendar import SAO_PAULO, day_of
from opentill.kernel.clock import Clock, Instant, from_datetime, to_datetime
from opentill.payments.pix import bank_watch
from opentill.pix.banks import Health
from opentill.pix.model import Account
from opentill.pix.providers.certificates import days_left, warning_day
from opentill.web import metrics
from opentill.web.dependencies import Dependencies
from opentill.workers.repeat import repeat

FIRST_AFTER_S: Final = 60.0  # a starting process has other work first
WEBHOOKS_S: Final = 3_600.0
HEALTH_S: Final = 600.0
NIGHT_LOOK_S: Final = 60.0
SWEEP_HOUR: Final = 3
SWEEP_MINUTE: Final = 30
MATCH_HOUR: Final = 6

log = structlog.get_logger("opentill.workers")

Healths = Callable[[Account], Awaitable[Health]]


async def bank_loops(dependencies: Dependencies, health: Healths, stop: asyncio.Event) -> None:
    """Watch until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), FIRST_AFTER_S)
    watch = Watch(dependencies, health)
    async with asyncio.TaskGroup() as group:
        for name, job, every_s in (
            ("check webhooks", watch.webhooks, WEBHOOKS_S),
            ("check health", watch.health, HEALTH_S),
            ("sweep two days", watch.night, NIGHT_LOOK_S),
            ("match the day before", watch.morning, NIGHT_LOOK_S),
        ):
            group.create_task(repeat(name, job, every_s=every_s, stop=stop), name=name)


class Watch:
    """What each job remembers between two looks."""

    def __init__(self, dependencies: Dependencies, health: Healths) -> None:
        self._tools = dependencies.tools
        self._public_url = dependencies.settings.public_url
        self._clock = dependencies.clock
        self._health = health
        self._swept_at = Instant(0)
        self._matched_at = Instant(0)
        self._warned: dict[int, int] = {}

    async def webhooks(self) -> bool:
        await bank_watch.check_webhooks(self._tools, self._public_url)
        return False

    async def night(self) -> bool:
        """Sweep two days once after each 03:30 of São Paulo, also one that passed while nobody was running."""
        due_at = latest_night(self._clock)
        if self._swept_at < due_at:
            await bank_watch.sweep_two_days(self._tools)
            self._swept_at = due_at
        return False

    async def morning(self) -> bool:
        """Match the day before once after each 06:00 of São Paulo, also one that passed while nobody was running."""
        due_at = latest(self._clock, MATCH_HOUR)
        if self._matched_at < due_at:
            await bank_watch.match_day(self._tools, day_of(due_at) - timedelta(days=1))
            self._matched_at = due_at
        return False

    async def health(self) -> bool:
        await bank_watch.for_every_account(self._tools, self._look_at)
        return False

    async def _look_at(self, account: Account) -> None:
        found = await self._health(account)
        if found.trouble is not None:
            log.error("bank does not authorise us", account=account.id, bank=account.bank_name, trouble=found.trouble)
        if found.certificate_ends_at is None:
            return
        days = days_left(found.certificate_ends_at, self._clock.now())
        metrics.certificate_days(account.id, days)
        self._warn(account, days)

    def _warn(self, account: Account, days: int) -> None:
        """Tell an operator once at 60, 30 and 7 days."""
        limit = warning_day(days)
        if limit is None:
            self._warned.pop(account.id, None)  # it was renewed
        elif self._warned.get(account.id) != limit:
            self._warned[account.id] = limit
            log.error("certificate runs out", account=account.id, bank=account.bank_name, days_left=days)


def latest_night(clock: Clock) -> Instant:
    """Return when it was 03:30 in São Paulo for the last time."""
    return latest(clock, SWEEP_HOUR, SWEEP_MINUTE)


def latest(clock: Clock, hour: int, minute: int = 0) -> Instant:
    """Return when it was a time of the day in São Paulo for the last time."""
    local = to_datetime(clock.now()).astimezone(SAO_PAULO)
    today = datetime(local.year, local.month, local.day, hour, minute, tzinfo=SAO_PAULO)
    return from_datetime(today if today <= local else today - timedelta(days=1))
