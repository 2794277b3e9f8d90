"""A mailbag on a test's database, with a clock the test tells and a mail server that does as it is told."""

import asyncio
from typing import Any

from opentill.db import Database, Row
from opentill.kernel.clock import Instant, ManualClock
from opentill.kernel.ids import SeededIds
from opentill.kernel.secret import Keyring, MasterKeys, Secret
from opentill.mail import Letter, model, post
from opentill.mail.model import Kind
from opentill.web.letters import Letters
from opentill.workers import mail
from tests.fakes.mail_server import MailServer

NOON = Instant(1_783_944_000_000_000)
KEYS = MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32))
SENDER = "Till of Ana <till@shop.example>"
LETTERS = Letters(public_url="https://till.example", sender=SENDER, language="en")


def server_at(port: int, **more: Any) -> model.MailServer:
    """Return how to reach a fake server."""
    chosen: dict[str, Any] = {"security": "none", "user": "", "password": Secret("")} | more
    return model.MailServer(host="127.0.0.1", port=port, sender=SENDER, own_name="till.example", **chosen)


class Office:
    """Posts letters, and sends what is due when a test says so."""

    def __init__(self, database: Database, server: MailServer) -> None:
        self.db, self.server = database, server
        self.clock = ManualClock(NOON)
        self.ids = SeededIds(3, self.clock)
        self.keyring = Keyring(KEYS)

    async def post(self, once: str = "a", to: str = "ana@shop.example", **more: Any) -> bool:
        letter = Letter(**({"kind": Kind.TEST, "to": to, "once": once} | more))
        now = self.clock.now()
        return await self.db.write(lambda tx: post(tx, letter, ids=self.ids, keyring=self.keyring, now=now))

    async def send(self) -> bool:
        """Send what is due, as one round of the worker does."""
        bag = mail.Mailbag(self.db, self.clock, self.keyring, server_at(self.server.port), LETTERS)
        return await mail.send_due(bag, asyncio.Event())

    async def rows(self) -> list[Row]:
        return list(await self.db.read(lambda tx: tx.all("select * from mail order by id")))

    async def states(self) -> list[str]:
        return [model.MailState(row["state"]).name for row in await self.rows()]
