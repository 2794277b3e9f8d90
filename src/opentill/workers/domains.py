"""Looking at the records of merchants' hosts: hourly, and at once for one that was just named."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog

from opentill.kernel.clock import HOUR, Instant
from opentill.merchants import domains
from opentill.merchants.domains import Domain, Seen
from opentill.outbound.names import system_lookup
from opentill.outbound.texts import text_records
from opentill.web.dependencies import Dependencies
from opentill.workers.repeat import repeat

EVERY_S: Final = 60.0
BATCH: Final = 50  # hosts one round looks at

Look = Callable[[Domain], Awaitable[Seen]]

log = structlog.get_logger("opentill.workers.domains")


async def domains_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Check what was not checked for an hour, until told to stop."""
    await repeat("domains", partial(check_due, dependencies), every_s=EVERY_S, stop=stop)


async def check_due(dependencies: Dependencies, look: Look | None = None) -> bool:
    """Check the hosts that are due; tell whether there may be more. One that stopped to fit is an alert, no more."""
    now = dependencies.clock.now()
    before = Instant(now - HOUR)
    due = await dependencies.db.read(lambda tx: domains.to_check(tx, checked_before=before, limit=BATCH))
    for domain in due:
        await check(dependencies, domain, look)
    return len(due) == BATCH


async def check(dependencies: Dependencies, domain: Domain, look: Look | None = None) -> Domain:
    """Ask the name servers about one host and apply what they say."""
    seen = await (look or partial(_look, dependencies))(domain)
    now = dependencies.clock.now()
    judged = await dependencies.db.write(
        lambda tx: domains.judge(tx, domain.host, seen, merchant_id=domain.merchant_id, now=now)
    )
    if judged.failing_since is not None and domain.failing_since is None:
        log.warning("domain.failing", host=domain.host, merchant_id=domain.merchant_id)
    return judged


async def _look(dependencies: Dependencies, domain: Domain) -> Seen:
    name, _ = domain.proof
    ours = urlsplit(dependencies.settings.public_url).hostname or ""
    texts = await text_records(name, ids=dependencies.ids)
    theirs, own = await asyncio.gather(_addresses(domain.host), _addresses(ours))
    return Seen(texts, reaches_us=bool(set(theirs) & set(own)))


async def _addresses(host: str) -> Sequence[str]:
    try:
        return await asyncio.to_thread(system_lookup, host)
    except (OSError, socket.gaierror, UnicodeError):
        return ()
