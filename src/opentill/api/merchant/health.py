"""/health: how the install fares, for a caller with a key (merchant-api.md §9.14)."""

from importlib.metadata import version
from typing import Any, Final, NamedTuple

from opentill.api.merchant import install_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.db import ReadTx
from opentill.kernel.clock import SECOND, Instant, iso_seconds
from opentill.kernel.owner import Owner
from opentill.merchants import gateways
from opentill.web.exchange import Answer
from opentill.web.health import find_problems
from opentill.web.json_body import write
from opentill.web.routes import Operation

VERSION: Final = version("opentill")


class Pulse(NamedTuple):
    """What the database says of the install and of one merchant."""

    gateways: int
    customers: int
    outbox_lag_s: int
    late: bool


async def show(call: MerchantCall) -> Answer:
    """Say whether everything runs on time."""
    pulse = await call.dependencies.db.read(lambda tx: take_pulse(tx, call.by.owner, call.arrived_at))

    data: dict[str, Any] = {
        "status": "degraded" if pulse.late else "healthy",
        "version": VERSION,
        "db": "connected",
        "mobile": {"connected": False, "active_devices": 0},
        "gateways": pulse.gateways,
        "customers": pulse.customers,
        "workers": {"outbox_lag_seconds": pulse.outbox_lag_s},
        "time": iso_seconds(call.arrived_at),
    }
    return Answer(200, write({"success": True, "data": data}))


def take_pulse(tx: ReadTx, owner: Owner, now: Instant) -> Pulse:
    """Count what the owner has, and look for what is late."""
    row = tx.one_or_none(
        """
        select (select count(*) from customer
                 where merchant_id = :merchant_id and mode = :mode and sealed is not null) as customers,
               (select min(occurred_at) from event where plan_state <> 1 and plan_state = 0) as waiting_since
        """,
        **owner.columns,
    )
    if row is None:
        raise RuntimeError("a select of scalars gave no row")
    waited = max(0, now - row["waiting_since"]) if row["waiting_since"] is not None else 0
    return Pulse(
        gateways=len(gateways.active(tx, owner=owner)),
        customers=row["customers"],
        outbox_lag_s=waited // SECOND,
        late=bool(find_problems(tx, now)),
    )


OPERATIONS: Final = (Operation("GET", "/health", show, "read", documents.HEALTH),)
