"""P7: money confirmed by a gateway's callback, and by a bank's notification, beside creating a payment.

Each callback names a payment of its own that waits at the sandbox gateway, signed with its merchant's secret. Such
payments are put into the database before each round by statements that run inside it; whether each was booked is
counted at the end.
"""

import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.audit import query
from bench.bar import Bar
from bench.load import VALUE
from bench.results import Found
from bench.scenarios import confirm_pix
from bench.scenarios.beside import statements
from bench.scenarios.create import CONNECTIONS
from bench.scenarios.desk import CHUNK, Desk
from bench.session import Session
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret
from opentill.master_keys import open_keyring
from opentill.merchants.gateways import callback_secret
from opentill.settings import Settings

PATH = "/webhook/sandbox"
TEMPLATE = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{VALUE}"
AMOUNT, UNITS = "149.90", 1_499_000
YEAR_US = 365 * 86_400 * 1_000_000

PAYMENT = """
with recursive n(i) as (select {first} union all select i + 1 from n where i < {last})
insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, fee_units, order_id,
                     gateway, created_at, updated_at, expires_at)
select '00000000-0000-7007-8000-' || substr(cast(1000000000000 + n.i as text), 2),
       'txn_7' || substr(cast(10000000000000000 + n.i as text), 3),
       '700000000000000000000000000000000000000000000000' || substr(cast(10000000000000000 + n.i as text), 2),
       m.id, m.mode, 'processing', 'processing', {units}, 'BRL', 0, 'ORD-' || cast(n.i as text), 'sandbox',
       {now}, {now}, {now} + {year}
  from n join merchant m on m.id = {merchant} + n.i % {merchants}
"""
TRY = """
insert into gateway_session (reference, payment_id, merchant_id, mode, gateway, state, opened_at)
select 'ses_7' || substr(p.reference, 6), p.id, p.merchant_id, p.mode, 'sandbox', 'open', {now}
  from payment p
 where p.reference > 'txn_7{before:015}' and p.reference <= 'txn_7{last:015}'
"""


@dataclass(kw_only=True)
class CardDesk(Desk):
    """Payments that wait at the sandbox gateway for its callback."""

    template = TEMPLATE
    things = "payments"

    secrets: Sequence[Secret]
    merchant: int

    def place(self, count: int) -> None:
        """Put payments into the database that wait for their gateway's word."""
        now = time.time_ns() // 1_000
        ends = self.placed + count
        with statements(self.session.install) as run:
            for before in range(self.placed, ends, CHUNK):
                last = min(before + CHUNK, ends)
                run(
                    PAYMENT.format(first=before + 1, last=last, units=UNITS, now=now, year=YEAR_US,
                                   merchant=self.merchant, merchants=len(self.secrets)),
                    TRY.format(before=before, last=last, now=now),
                )  # fmt: skip
        self.placed = ends
        self.session.acknowledged += count

    def message(self, number: int) -> str:
        """Return what is new in one callback: signature, length and body."""
        told = {"id": f"pe_{number}", "session": f"ses_7{number:015}", "state": "paid", "ref": f"7R{number}"}
        body = json.dumps({**told, "amount": AMOUNT, "currency": "BRL"})
        signature = hmac.digest(self.secrets[number % len(self.secrets)].reveal().encode(), body.encode(), "sha256")
        return f"X-Sandbox-Signature: sha256={signature.hex()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Measure callbacks in turns with creations, of the same merchants over as many connections."""
    connections = CONNECTIONS[session.mode]
    desk, pix_desk = opened(session), confirm_pix.opened(session)

    def create(seconds: float) -> float:
        return session.create(seconds, connections=connections).rate

    def confirm(seconds: float) -> float:
        return desk.tell(seconds).rate

    subjects = {
        "creation": create,
        "confirmation": confirm,
        "PIX confirmation": pix_desk.confirm,
    }
    series = session.settle(subjects, [("confirmation", "creation"), ("PIX confirmation", "creation")])
    require_booked(desk)
    pix_desk.require_booked()
    confirmed = desk.taken + pix_desk.taken
    size = {"connections": connections, "merchants": len(session.merchants), "confirmed": confirmed}
    return [
        session.judge(bar, part, series, (part.name.partition(" / ")[0], "creation"), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


def opened(session: Session) -> CardDesk:
    """Return a desk for the session's merchants, whose numbers follow each other."""
    assert session.server
    keyring = open_keyring(Settings(data=session.install.data))
    rows = query(session.install, "select id, mode from merchant order by id")
    secrets = [callback_secret("sandbox", owner=Owner(row[0], Mode(row[1])), keyring=keyring) for row in rows]
    first = rows[0][0]
    assert [row[0] for row in rows] == list(range(first, first + len(rows)))
    return CardDesk(session=session, secrets=secrets, merchant=first)


def require_booked(desk: CardDesk) -> None:
    """Raise ProductFailed unless each callback that was taken completed a payment, with one event."""
    booked = """
        select (select count(*) from receipt where gateway = 'sandbox' and ref like '7R%'),
               (select count(*) from event e join payment p on p.uuid = e.object_id
                 where e.type = 'payment.completed' and p.reference like 'txn_7%' and p.token like '7000000000000000%')
    """
    desk.require_as_told(*query(desk.session.install, booked)[0])
