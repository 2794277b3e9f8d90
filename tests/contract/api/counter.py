"""The PIX API in front of a shop whose account is at the sandbox bank: what is asked of it really moves money there.

async with open_counter(database, tmp_path) as counter:
    charge = await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
    await counter.fine("POST", f"/sandbox/charges/{charge['transaction_id']}/pay")
    await counter.goes_on()
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from opentill.api.external.app import ExternalApi
from opentill.db import Database
from opentill.kernel.clock import MINUTE, SECOND
from opentill.payments.infractions import flow as infractions
from opentill.payments.pix import flow as pix_flow
from opentill.payments.refunds import flow as refund_flow
from opentill.pix.payouts import flow as payout_flow
from opentill.web.engine import engine_of
from opentill.webhooks import completion, partitions, planning, queries, queue, rules, sending
from tests.contract.api.client import Response, ask
from tests.contract.api.house import signature
from tests.usecases.pix.shop import Shop, open_shop
from tests.usecases.webhooks.engine import ScriptedReceiver

Credential = tuple[str, str]


class Receivers(ScriptedReceiver):
    """Every merchant's server, at addresses nobody judges."""

    def check(self, url: str, **_more: object) -> None:
        return None


class Counter:
    """The API, a credential, and the shop behind it."""

    def __init__(self, shop: Shop, credential: Credential, **settings: Any) -> None:
        self.shop = shop
        self.credential = credential
        self.receiver = Receivers()
        self.deps = replace(
            shop.deps,
            settings=replace(shop.deps.settings, **settings),
            outbound=self.receiver,  # type: ignore[arg-type]
        )
        self.api = ExternalApi(self.deps)

    async def ask(
        self,
        method: str,
        target: str,
        fields: object = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        by: Credential | None = None,
    ) -> Response:
        """Call the API, signed as the seed page does. A header of None is left out."""
        client_id, secret = by or self.credential
        body = b"" if fields is None else json.dumps(fields).encode()
        sent: dict[str, str | None] = {"authorization": f"ApiKey {client_id}:{secret}"}
        if body:
            sent["content-type"] = "application/json"
        if method in ("POST", "PATCH"):
            sent["hmac"] = signature(secret, body)
        sent |= headers or {}
        present = {name: value for name, value in sent.items() if value is not None}
        return await ask(self.api, method, target, headers=present, body=body)

    async def fine(self, method: str, target: str, fields: object = None, **more: Any) -> dict[str, Any]:
        """Call the API and return the answer, which must be a good one."""
        answer = await self.ask(method, target, fields, **more)
        assert answer.status in (200, 201), (target, answer.body)
        found: dict[str, Any] = answer.json()
        assert found["worked"] is True
        return found

    async def balance(self) -> dict[str, int]:
        """Return the balance, whose parts must add up."""
        found = await self.fine("GET", "/balance")
        assert found["balance"] == found["available"] + found["pending"]
        return {name: found[name] for name in ("balance", "available", "pending")}

    async def goes_on(self, *, rounds: int = 3, each_us: int = 2 * SECOND) -> None:
        """Let time pass, and do what the loops do."""
        shop, tools = self.shop, self.shop.tools
        for _ in range(rounds):
            shop.passes(each_us)
            await shop.rings()
            await pix_flow.confirm_due_hints(tools)
            await pix_flow.look_at_due(tools)
            await payout_flow.work_due(tools)
            await refund_flow.check_due_refunds(tools)
            await infractions.work_due(tools)
            await infractions.top_up_due(tools)
            await shop.rings()
            await pix_flow.confirm_due_hints(tools)

    async def catches_up(self, *, rounds: int = 4) -> None:
        """Let so much time pass that every unknown is asked about, and everything is swept."""
        for _ in range(rounds):
            await self.goes_on(rounds=1, each_us=11 * MINUTE)
            await pix_flow.sweep(self.shop.tools)
            await infractions.list_due(self.shop.tools)

    async def delivers(self) -> list[dict[str, Any]]:
        """Send what is due to the endpoints; return what this sent, headers and body together."""
        shop, engine, before = self.shop, engine_of(self.deps), len(self.receiver.requests)
        await shop.db.write(lambda tx: partitions.keep_ahead(tx, now=shop.clock.now()))
        while (
            await shop.db.write(
                lambda tx: planning.plan(tx, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
            )
        ).seqs:
            pass
        waiting = await shop.db.read(queries.waiting)
        grants = rules.share_out(waiting, now=shop.clock.now(), free=64, room_of={}, room_default=64, after_merchant=0)
        jobs = await shop.db.write(lambda tx: queue.claim(tx, grants, worker=engine.worker, now=shop.clock.now()))
        results = [await sending.attempt(engine, job) for job in jobs]
        await shop.db.write(lambda tx: completion.complete(tx, results, ids=engine.ids, chance=engine.chance))
        sent = self.receiver.requests[before:]
        return [{**dict(request.headers), "url": request.url, "body": request.body or b""} for request in sent]

    async def events(self) -> list[str]:
        """Return the names of the events in the PIX dialect so far."""
        rows = await self.shop.rows("select pix_type from event where pix_type is not null order by seq")
        return [row["pix_type"] for row in rows]

    async def another(self, *permissions: str) -> Credential:
        """Return another credential of the shop."""
        shop = self.shop
        made = await shop.db.write(lambda tx: shop.scene.credential(tx, shop.merchant, permissions))
        return made[0], made[1].reveal()


@asynccontextmanager
async def open_counter(database: Database, folder: Path, *, seed: int = 7, **settings: Any) -> AsyncIterator[Counter]:
    async with open_shop(database, folder, seed=seed) as shop:
        shop.at_sandbox = True
        made = await database.write(lambda tx: shop.scene.credential(tx, shop.merchant))
        counter = Counter(shop, (made[0], made[1].reveal()), **settings)
        yield counter
        await counter.api.settled()
