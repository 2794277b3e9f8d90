"""P29: how long a delivery takes when little happens, one event a second.

The latency runs from the instant the event was recorded, shortly before its commit, to the receiver's first byte,
so it is never understated. Both instants are read from one clock, the machine's.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.audit import query
from bench.bar import Bar
from bench.load import quantile
from bench.product import Merchant, ProductFailed, Server
from bench.results import Found
from bench.session import Session
from bench.webhooks.sink import receiving

EVENT = "pix.charge.created"
EVENTS_PER_ROUND = 8
SECONDS_PER_EVENT = 1.0
SETTLE_S = 3.0


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Create a PIX charge a second and match what the receiver saw with what was recorded."""
    merchant = session.install.add_demo_merchant()
    record = session.work / "received.txt"
    count = session.protocol.rounds * EVENTS_PER_ROUND
    with receiving(record=record) as port:
        server = session.server
        register(server, merchant, port)
        time.sleep(SETTLE_S)
        for number in range(count):
            begin = time.monotonic()
            charge(server, merchant, number)
            session.acknowledged += 1  # a charge is a payment
            time.sleep(max(0.0, SECONDS_PER_EVENT - (time.monotonic() - begin)))
        time.sleep(SETTLE_S)
    latencies = matched(session, record, merchant)
    return [row(bar, session, latencies, count) for bar in wanted]


def row(bar: Bar, session: Session, latencies: Sequence[float], count: int) -> Found:
    part = bar.parts[0]
    if len(latencies) < count:
        note = f"{count - len(latencies)} of {count} events never arrived"
        return Found(bar, part, session.mode, "fail", 0.0, note=note)
    ordered = sorted(latencies)
    p95 = quantile(ordered, 0.95)
    found = Found(bar, part, session.mode, part.verdict(p95), p95, (p95, "ms"), size={"events": count})
    return replace(found, note=f"p50 {quantile(ordered, 0.5):.1f} ms, slowest {ordered[-1]:.1f} ms")


def register(server: Server, merchant: Merchant, port: int) -> None:
    body = {"url": f"http://127.0.0.1:{port}/hook", "events": [EVENT], "allow_insecure": True}
    ask(server, merchant, "/api/external/webhooks", body)


def charge(server: Server, merchant: Merchant, number: int) -> None:
    ask(server, merchant, "/api/external/pix/cash-in", {"amount": 1000 + number, "description": "Bench"})


def ask(server: Server, merchant: Merchant, path: str, fields: dict[str, object]) -> None:
    """Send a signed request of the PIX API. Raises ProductFailed unless it succeeds."""
    body = json.dumps(fields, separators=(",", ":"))
    headers = {
        "Authorization": f"ApiKey {merchant.client_id}:{merchant.client_secret}",
        "hmac": hmac.new(merchant.client_secret.encode(), body.encode(), hashlib.sha512).hexdigest(),
        "Idempotency-Key": secrets.token_hex(16),
        "Content-Type": "application/json",
    }
    status, answer = server.ask("POST", path, headers, body)
    if status not in (200, 201):
        raise ProductFailed(f"POST {path} answered {status}: {str(answer)[:300]}")


def matched(session: Session, record: Path, merchant: Merchant) -> Sequence[float]:
    """Return the latency, in ms, of each event's first arrival."""
    arrived: dict[str, int] = {}
    for line in record.read_text().splitlines():
        event, _, at = line.partition(" ")
        arrived.setdefault(event, int(at))
    recorded = dict(query(session.install, f"select id, occurred_at from event where pix_type = '{EVENT}'"))
    return [(at - recorded[event]) / 1000 for event, at in arrived.items() if event in recorded]
