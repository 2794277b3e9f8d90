"""P5: a PIX cash-in through the full stack, its charge made at the sandbox bank, beside creating a payment."""

import hmac
import json
from collections.abc import Sequence

from bench.bar import Bar
from bench.load import KEY, Load, template
from bench.product import Merchant
from bench.results import Found
from bench.scenarios.create import CONNECTIONS
from bench.session import Session

PATH = "/api/external/pix/cash-in"
BODY = {"amount": 3000, "description": "Pedido 1001", "external_id": "order-1001"}
"""Nothing in it is new in each request, so that its digest holds; the idempotency key is."""


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure cash-ins in turns with creations, from the same merchants over as many connections."""
    connections = CONNECTIONS[session.mode]

    def cash_in(seconds: float) -> float:
        return charged(session, seconds, connections=connections).rate

    def create(seconds: float) -> float:
        return session.create(seconds, connections=connections).rate

    series = session.settle({"creation": create, "cash-in": cash_in}, [("cash-in", "creation")])
    size = {"connections": connections, "merchants": len(session.merchants)}
    return [
        session.judge(bar, part, series, ("cash-in", "creation"), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


def charged(session: Session, seconds: float, *, connections: int) -> Load:
    """Make charges through the PIX API and count what was acknowledged."""
    load = session.load([asking(each) for each in session.merchants], connections=connections, seconds=seconds)
    session.acknowledged += load.accepted
    session.lost += load.lost + load.unanswered
    session.not_accepted += sum(load.statuses.values()) - load.accepted
    return load


def asking(merchant: Merchant) -> str:
    """Return the template of a signed cash-in."""
    body = json.dumps(BODY, separators=(",", ":"))
    headers = {
        "Authorization": f"ApiKey {merchant.client_id}:{merchant.client_secret}",
        "hmac": hmac.digest(merchant.client_secret.encode(), body.encode(), "sha512").hex(),
        "Idempotency-Key": KEY,
    }
    return template("POST", PATH, headers, body)
