"""P40: creating payments while 500 deliveries a second go out, beside creating them alone.

Half of the merchants have no endpoint. Of the others, as many have one as makes 500 of their payments a second heard
of: every payment of such a merchant is an event and a delivery.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from math import ceil

from bench.audit import query
from bench.bar import Bar
from bench.load import Plan, run
from bench.product import Install, ProductFailed, Server, serving
from bench.results import Found
from bench.scenarios.create import CONNECTIONS
from bench.session import Session
from bench.webhooks.sink import receiving

DELIVERIES_PER_S = 500
HALF = 50
FIRST_LOOK_S = 3.0
DRAIN_S_MAX = 120.0
UNFINISHED = """select (select count(*) from webhook_delivery where state in (0, 1))
                     + (select count(*) from event where plan_state <> 1 and plan_state = 0)"""


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Create in turns with merchants nobody hears of, and with merchants some of whom have endpoints."""
    with ExitStack() as stack:
        url = session.cluster.create("opentill_interference") if session.cluster else ""
        install = Install(session.work / "interference", url)
        merchants = install.add_merchants(2 * HALF)
        port = stack.enter_context(receiving())
        server = stack.enter_context(serving(install, OPENTILL_DEV="true"))
        templates = [session.creation.template(merchant) for merchant in merchants]
        alone = created(session, server, install, templates[:HALF])
        hooked = min(HALF, ceil(HALF * DELIVERIES_PER_S / max(1.0, alone(FIRST_LOOK_S))))
        for number, merchant in enumerate(merchants[HALF : HALF + hooked]):
            register(install, merchant.merchant_id, f"http://127.0.0.1:{port}/{number}")
        while_delivering = created(session, server, install, templates[HALF:])
        series = session.settle({"without": alone, "meanwhile": while_delivering}, [("meanwhile", "without")])
        sent = int(query(install, "select count(*) from webhook_delivery where state = 2")[0][0])
        install.verify()
    size = {"endpoints": hooked, "delivered": sent}
    pair = ("meanwhile", "without")
    return [session.judge(bar, bar.parts[0], series, pair, unit="1/s", **size) for bar in wanted]


def created(session: Session, server: Server, install: Install, templates: Sequence[str]):  # type: ignore[no-untyped-def]
    def work(seconds: float) -> float:
        wait_until_quiet(install)
        plan = Plan("127.0.0.1", server.port, CONNECTIONS[session.mode], seconds, 0.5, templates)
        return run(plan).rate

    return work


def wait_until_quiet(install: Install) -> None:
    """Wait until what an earlier round made is delivered. Raises ProductFailed where that takes too long."""
    limit = time.monotonic() + DRAIN_S_MAX
    while int(query(install, UNFINISHED)[0][0]):
        if time.monotonic() > limit:
            raise ProductFailed("deliveries of a round were not finished two minutes later")
        time.sleep(0.1)


def register(install: Install, merchant: str, url: str) -> None:
    words = ["--do", "fill", "--data", str(install.data), "--merchant", merchant, "--urls", url]
    command = [sys.executable, "-m", "bench.webhooks.engine", *words]
    done = subprocess.run(command, env=install.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProductFailed(f"no endpoint could be registered: {done.stderr[-1000:]}")
