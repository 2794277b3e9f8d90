"""A worker in a process of its own: plans and delivers until it is told to stop, or killed.

python -m tests.chaos.webhooks.worker <database URL> <name>
"""

import asyncio
import signal
import sys

from opentill.db import open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.secret import Keyring, MasterKeys
from opentill.outbound import AllowList, Outbound
from opentill.webhooks.engine import Engine
from opentill.workers.deliver import deliver_loop
from opentill.workers.plan import plan_loop

# The keys of tests: the same in every process.
KEYS = MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32))


async def work(url: str, name: str, *, alone: bool) -> None:
    clock, stop = SystemClock(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_database(url) as database, Outbound(allow=AllowList.parse(["127.0.0.1"])) as outbound:
        engine = Engine(
            db=database,
            sender=outbound,
            keyring=Keyring(KEYS),
            ids=SystemIds(clock),
            clock=clock,
            worker=name,
            works_alone=alone,
        )
        await asyncio.gather(plan_loop(engine, stop), deliver_loop(engine, stop))


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], alone=True))
