"""The engine at the command line: lanes that have work, and events that could not be planned."""

from opentill.cli.options import Data
from opentill.cli.prepare import in_transaction
from opentill.cli.webhooks.console import shown
from opentill.db import Tx
from opentill.kernel.clock import SECOND, SystemClock
from opentill.settings import Settings
from opentill.webhooks import planning, queries
from opentill.webhooks.rules import Waiting


def lanes(data: Data = None) -> None:
    """List the endpoints something waits for: from when on, and the state of each breaker."""

    def read(tx: Tx) -> list[str]:
        late_us = queries.oldest_due_us(tx, now=SystemClock().now())
        return [*map(_line, queries.waiting(tx)), f"the oldest has waited for {late_us // SECOND} s"]

    for line in in_transaction(Settings.from_environment(data=data), read):
        print(line)


def replan(data: Data = None) -> None:
    """Have the running server plan again what could not be planned."""
    events = in_transaction(Settings.from_environment(data=data), planning.replan)
    print(f"{events} events are planned again by the running server")


def _line(lane: Waiting) -> str:
    kinds = ", ".join(klass.name.lower().replace("_", " ") for klass in lane.first_due)
    breaker = lane.breaker.name.lower().replace("_", "-")
    return f"{lane.endpoint_id}  breaker {breaker}  open from {shown(lane.open_at or None)}  {kinds}"
