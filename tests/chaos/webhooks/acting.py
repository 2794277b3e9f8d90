"""One use case in a process of its own, which a failpoint may end in the middle.

python -m tests.chaos.webhooks.acting <database URL> record|rotate|read|forget <merchant id> [<endpoint id>]
"""

import asyncio
import sys
from random import Random

from opentill.db import Database, open_database
from opentill.events import record
from opentill.kernel.clock import Instant, SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.webhooks import retention, service
from opentill.webhooks.model import Dialect
from opentill.webhooks.retention import Terms
from tests.chaos.webhooks.worker import KEYS
from tests.usecases.webhooks.engine import Bench

EVENTS = 12


async def act(url: str, wanted: str, owner: Owner, endpoint_id: int) -> None:
    async with open_database(url) as database:
        match wanted:
            case "record":
                await record_some(database, owner)
            case "rotate":
                await rotate(database, owner, endpoint_id)
            case "read":
                await read(database, owner, endpoint_id)
            case _:
                await forget(database)


async def record_some(database: Database, owner: Owner) -> None:
    """Record facts one by one, and print the id of each once its commit was acknowledged."""
    bench, ids = Bench(database), SystemIds(SystemClock())
    for number in range(EVENTS):
        event = bench.event(owner=owner, object_id=f"{Random().random()}-{number}")
        print(await database.write(lambda tx, event=event: record(tx, event, ids=ids)), flush=True)


async def rotate(database: Database, owner: Owner, endpoint_id: int) -> None:
    clock = SystemClock()
    await database.write(
        lambda tx: service.rotate_secret(
            tx,
            owner=owner,
            dialect=Dialect.MERCHANT,
            endpoint_id=endpoint_id,
            ids=SystemIds(clock),
            keyring=Keyring(KEYS),
            now=clock.now(),
        )
    )


async def read(database: Database, owner: Owner, endpoint_id: int) -> None:
    """Read a feed to its end, a few at a time."""
    after, more = 0, True
    while more:
        feed = await database.read(lambda tx: service.feed_of(tx, endpoint_id=endpoint_id, owner=owner))
        page = await database.write(
            lambda tx, feed=feed, after=after: service.read_feed(
                tx, feed, after=after, limit=3, now=SystemClock().now()
            )
        )
        after, more = page.next, page.more


async def forget(database: Database) -> None:
    """Delete what is older than its terms, three rows at a time."""
    now: Instant = SystemClock().now()
    cursor: int | None = 0
    while cursor is not None:
        done = await database.write(
            lambda tx, cursor=cursor: retention.purge_events(
                tx, cursor, terms=Terms(), keyring=Keyring(KEYS), now=now, most=3
            )
        )
        cursor = done.cursor


if __name__ == "__main__":
    _, url, wanted, merchant, *rest = sys.argv
    asyncio.run(act(url, wanted, Owner(int(merchant), Mode.SANDBOX), int(rest[0]) if rest else 0))
