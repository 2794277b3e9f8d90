"""A worker in a process of its own: plans and delivers until it is told to stop, or killed.

python -m tests.chaos.webhooks.worker <database URL> <name> [<seconds of a lease>]
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
from opentill.webhooks.model import LEASE_S
from opentill.workers.deliver import deliver_loop
from opentill.workers.plan import plan_loop
from opentill.workers.replay import replay_loop

# The keys of tests: the same in every process.
KEYS = MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32))


async def work(url: str, name: str, *, alone: bool, lease_s: int = LEASE_S) -> None:
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
            lease_s=lease_s,
            heartbeat_s=max(1, lease_s // 4),
        )
        await asyncio.gather(*(loop(engine, stop) for loop in (plan_loop, deliver_loop, replay_loop)))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        asyncio.run(work(sys.argv[1], sys.argv[2], alone=False, lease_s=int(sys.argv[3])))
    else:
        asyncio.run(work(sys.argv[1], sys.argv[2], alone=True))
