"""Forgetting what was kept long enough, slowly: between two small transactions everybody else has time (§9.3)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from opentill.db import Tx, Unavailable
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Busy
from opentill.mail import service as mail
from opentill.merchants import request_log
from opentill.payments.exports import service as exports
from opentill.payments.inbound import service as inbound
from opentill.payments.review import proofs
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from opentill.webhooks import partitions, portal_access, retention
from opentill.webhooks.retention import Round, Terms
from opentill.workers.repeat import repeat

RETAIN_S: Final = 3_600.0
REQUESTS_MAX: Final = 1_000  # lines of the request log in one transaction; they are small
EXPORTS_MAX: Final = 20  # parts in one transaction; each has up to a thousand lines
PROOFS_MAX: Final = 20  # in one transaction; each has up to five megabytes
PAUSE_MIN_S: Final = 0.05
PAUSE_FACTOR: Final = 9  # of the time a transaction took: removing never has more than a tenth of the writer's time

log = structlog.get_logger("opentill.workers.retain")

Purge = Callable[[Tx, int], Round]


async def retain_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Remove once an hour what is over, until told to stop."""
    await repeat("retain", partial(_retain, dependencies, stop), every_s=RETAIN_S, stop=stop)


async def _retain(dependencies: Dependencies, stop: asyncio.Event) -> bool:
    await retain(dependencies, keep_on=lambda: not stop.is_set())
    return False


async def retain(
    dependencies: Dependencies,
    *,
    keep_on: Callable[[], bool] = lambda: True,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> dict[str, int]:
    """Remove everything whose time is over; return how many rows of each kind, and of days on PostgreSQL."""
    keyring, now, settings = dependencies.keyring, dependencies.clock.now(), dependencies.settings
    terms = Terms(settings.webhooks_attempt_days, settings.webhooks_payload_days, settings.webhooks_event_days)
    purges: dict[str, Purge] = {
        "attempts": lambda tx, _: retention.purge_attempts(tx, terms=terms, now=now),
        "payloads": lambda tx, cursor: retention.purge_payloads(tx, cursor, terms=terms, now=now),
        "tests": lambda tx, cursor: retention.purge_events(
            tx, cursor, terms=terms, keyring=keyring, now=now, tests=True
        ),
        "events": lambda tx, cursor: retention.purge_events(tx, cursor, terms=terms, keyring=keyring, now=now),
        "portal_sessions": lambda tx, _: _forget_sessions(tx, now),
        "callbacks": lambda tx, _: _forget_callbacks(tx, terms, now),
        "requests": lambda tx, _: _forget_requests(tx, settings, now),
        "proofs": lambda tx, _: _forget_proofs(tx, now),
        "letters": lambda tx, _: _forget_letters(tx, settings, now),
        "exports": lambda tx, _: _forget_exports(tx, now),
    }
    removed, faults = dict[str, int](), list[Exception]()
    for name, purge in purges.items():
        try:
            removed[name] = await _all_of(dependencies, purge, keep_on, pause)
        except Unavailable:
            raise
        except Exception as fault:  # whatever it is, it belongs to this kind: the others are forgotten in time
            faults.append(fault)
    removed["days"] = len(await _drop_days(dependencies, terms))
    if any(removed.values()):
        log.info("retain.removed", **removed)
    if faults:
        raise ExceptionGroup("some rows could not be removed", faults)
    return removed


async def _all_of(
    dependencies: Dependencies,
    purge: Purge,
    keep_on: Callable[[], bool],
    pause: Callable[[float], Awaitable[None]],
) -> int:
    """Remove, pause, and go on where the last transaction ended, until nothing older is left."""
    removed, cursor = 0, 0
    while keep_on():
        began = time.monotonic()
        try:
            done = await dependencies.db.write(partial(_once, purge=purge, cursor=cursor))
        except Busy:  # others need the database more
            await pause(1.0)
            continue
        removed += done.removed
        if done.cursor is None:
            break
        cursor = done.cursor
        await pause(max(PAUSE_MIN_S, PAUSE_FACTOR * (time.monotonic() - began)))
    return removed


def _forget_sessions(tx: Tx, now: Instant) -> Round:
    removed = portal_access.forget_sessions(tx, now=now, most=retention.ROWS_MAX)
    return Round(removed, 0 if removed == retention.ROWS_MAX else None)


def _forget_callbacks(tx: Tx, terms: Terms, now: Instant) -> Round:
    """Callbacks are kept as long as attempts: both are what two machines said to each other."""
    before = Instant(now - terms.attempt_days * DAY)
    removed = inbound.purge(tx, before=before, most=retention.ROWS_MAX)
    return Round(removed, 0 if removed == retention.ROWS_MAX else None)


def _forget_requests(tx: Tx, settings: Settings, now: Instant) -> Round:
    before = Instant(now - settings.request_log_days * DAY)
    removed = request_log.purge(tx, before=before, rows_max=settings.request_log_rows_max, most=REQUESTS_MAX)
    return Round(removed, 0 if removed == REQUESTS_MAX else None)


def _forget_proofs(tx: Tx, now: Instant) -> Round:
    removed = proofs.purge(tx, now=now, rows_max=PROOFS_MAX)
    return Round(removed, 0 if removed == PROOFS_MAX else None)


def _forget_letters(tx: Tx, settings: Settings, now: Instant) -> Round:
    before = Instant(now - settings.mail_days * DAY)
    removed = mail.purge(tx, before=before, most=retention.ROWS_MAX)
    return Round(removed, 0 if removed == retention.ROWS_MAX else None)


def _forget_exports(tx: Tx, now: Instant) -> Round:
    removed = exports.forget(tx, now=now, most=EXPORTS_MAX)
    return Round(removed, 0 if removed == EXPORTS_MAX else None)


def _once(tx: Tx, *, purge: Purge, cursor: int) -> Round:
    return purge(tx, cursor)


async def _drop_days(dependencies: Dependencies, terms: Terms) -> list[str]:
    """On PostgreSQL drop the days of the attempt log that are over."""
    if dependencies.settings.embedded:
        return []
    from opentill.db.postgres.days import drop_days  # loads PostgreSQL's driver

    before = partitions.first_kept(dependencies.clock.now(), days=terms.attempt_days)
    return await drop_days(dependencies.settings.database_url, partitions.TABLE, before=before)
