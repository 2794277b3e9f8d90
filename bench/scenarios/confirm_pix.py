"""The PIX half of P7: money a bank's notification tells of, until it is booked, beside creating a payment.

Each notification names a receipt of its own at the sandbox bank, of a charge that waits for it. Charges and receipts
are put into both databases before each round. A notification is answered before its money is booked: the rate counts
from the first one that was stored until the last one's money is in the books.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from bench.audit import query
from bench.load import VALUE
from bench.product import ProductFailed
from bench.scenarios.beside import statements
from bench.scenarios.desk import CHUNK, Desk
from bench.session import Session
from opentill.master_keys import open_keyring
from opentill.pix.identifiers import TXID_PREFIX
from opentill.pix.service import hook_context
from opentill.settings import Settings

TEMPLATE = f"POST {VALUE}"
CENTAVOS, VALOR = 3_000, "30.00"
BOOKED_WITHIN_S = 300.0
DAY_US = 86_400 * 1_000_000
SETTLED_BEFORE_US = 5 * DAY_US  # earlier than any sweep looks: only the notification tells of it
BANK_FILE = "sandbox-bank.db"

PAYMENT = """
with recursive n(i) as (select {first} union all select i + 1 from n where i < {last})
insert into payment (uuid, reference, token, merchant_id, mode, status, detail, units, currency, fee_units, order_id,
                     gateway, created_at, updated_at, expires_at)
select '00000000-0000-7009-8000-' || substr(cast(1000000000000 + n.i as text), 2),
       'txn_9' || substr(cast(10000000000000000 + n.i as text), 3),
       '900000000000000000000000000000000000000000000000' || substr(cast(10000000000000000 + n.i as text), 2),
       a.merchant_id, a.mode, 'processing', 'processing', {units}, 'BRL', 0, 'ORD-' || cast(n.i as text), 'pix',
       {now}, {now}, {now} + {year}
  from n join pix_account a on a.id = {account} + n.i % {accounts}
"""
CHARGE = """
insert into pix_charge (id, payment_id, announces, merchant_id, mode, account_id, state, units, key, description, code,
                        expires_in_s, expires_at, created_at, updated_at)
select 'p9' || substr('00000000' || substr(p.reference, 6), 1, 23), p.id, 0, p.merchant_id, p.mode, a.id, 'active',
       p.units, (select min(k.key) from pix_key k where k.account_id = a.id), 'Pedido', '', 86400, {now} + {year},
       {now}, {now}
  from payment p join pix_account a on a.merchant_id = p.merchant_id and a.mode = p.mode
 where p.reference > 'txn_9{before:015}' and p.reference <= 'txn_9{last:015}'
"""
RECEIPT = """
with recursive n(i) as (select {first} union all select i + 1 from n where i < {last})
insert into receipt (e2e_id, account_id, txid, amount, key, payer_name, payer_document, settled_at)
select 'E99999002202601010000p9' || substr(cast(1000000000 + n.i as text), 2), k.account_id,
       'otp900000000' || substr(cast(10000000000000000 + n.i as text), 3), {centavos}, k.key, 'Ana Teste',
       '12345678909', {settled}
  from n join bench_key b on b.number = n.i % {accounts} join account_key k on k.key = b.key
"""
PROGRESS = """
select count(*), max(created_at), (select min(created_at) from pix_hint where created_at >= {since})
  from receipt where gateway = 'pix' and ref like 'E99999002202601010000p9%'
"""
WAITING = "select count(*) from pix_hint where due_at is not null"
BOOKED = """
select (select count(*) from receipt where gateway = 'pix' and ref like 'E99999002202601010000p9%'),
       (select count(*) from event e join payment p on p.uuid = e.object_id
         where e.pix_type = 'pix.charge.paid' and p.reference like 'txn_9%' and p.token like '9000000000000000%')
"""


@dataclass(kw_only=True)
class PixDesk(Desk):
    """Charges that wait for their money, which the sandbox bank has."""

    template = TEMPLATE
    things = "receipts"

    paths: Sequence[str]  # where each account's bank tells us, in the order of their numbers
    keys: Sequence[str]
    account: int

    def confirm(self, seconds: float) -> float:
        """Tell of money for some seconds, wait until it is booked, and return how much was a second."""
        since = time.time_ns() // 1_000
        return self.tell(seconds).accepted / self.until_booked(since)

    def until_booked(self, since: int) -> float:
        """Wait until all that was told of is booked, and return the seconds from the first to the last."""
        give_up = time.monotonic() + BOOKED_WITHIN_S
        while query(self.session.install, WAITING)[0][0] and time.monotonic() < give_up:
            time.sleep(0.25)
        booked, last, first = query(self.session.install, PROGRESS.format(since=since))[0]
        if booked >= self.taken:
            return float(last - first) / 1e6
        raise ProductFailed(f"{self.taken} notifications were taken, and only {booked} are booked")

    def place(self, count: int) -> None:
        """Put charges into the database that wait for their money, and the money into the bank's."""
        now, accounts = time.time_ns() // 1_000, len(self.paths)
        ends = self.placed + count
        known = {"now": now, "year": 365 * DAY_US, "units": CENTAVOS * 100, "account": self.account}
        with statements(self.session.install) as run, closing(self.bank()) as bank:
            for before in range(self.placed, ends, CHUNK):
                last = min(before + CHUNK, ends)
                span = {"first": before + 1, "before": before, "last": last, "accounts": accounts}
                run(PAYMENT.format(**known, **span), CHARGE.format(**known, **span))
                with bank:
                    bank.execute(RECEIPT.format(centavos=CENTAVOS, settled=now - SETTLED_BEFORE_US, **span))
        self.placed = ends
        self.session.acknowledged += count

    def bank(self) -> sqlite3.Connection:
        """Return a connection to the bank's books, which knows the order of our accounts."""
        connection = sqlite3.connect(self.session.install.data / BANK_FILE, timeout=30)
        connection.execute("create temporary table bench_key (number integer primary key, key text)")
        connection.executemany("insert into bench_key values (?, ?)", enumerate(self.keys))
        connection.commit()
        return connection

    def message(self, number: int) -> str:
        """Return what is new in one notification: where it goes, its length and body."""
        told = {
            "endToEndId": f"E99999002202601010000p9{number:09}",
            "txid": f"{TXID_PREFIX}p900000000{number:015}",
            "valor": VALOR,
            "chave": self.keys[number % len(self.keys)],
            "horario": "2026-01-01T00:00:00.000Z",
        }
        body = json.dumps({"pix": [told]}, separators=(",", ":"))
        head = f"{self.paths[number % len(self.paths)]} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json"
        return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def require_booked(self) -> None:
        """Raise ProductFailed unless each notification that was taken completed a payment, with one event."""
        self.require_as_told(*query(self.session.install, BOOKED)[0])


def opened(session: Session) -> PixDesk:
    """Return a desk for the accounts of the session's merchants, whose numbers follow each other."""
    assert session.server
    keyring = open_keyring(Settings(data=session.install.data))
    rows = query(
        session.install,
        """
        select a.id, a.sealed_hook_token, m.uuid, (select min(k.key) from pix_key k where k.account_id = a.id)
          from pix_account a join merchant m on m.id = a.merchant_id order by a.id
        """,
    )
    first = rows[0][0]
    assert [row[0] for row in rows] == list(range(first, first + len(rows)))
    paths = [f"/hooks/pix/{row[0]}/{keyring.open(row[1], hook_context(row[2])).decode()}" for row in rows]
    return PixDesk(session=session, paths=paths, keys=[row[3] for row in rows], account=first)
