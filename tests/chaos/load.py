"""Orders that keep coming at a steady rate, each asked for until it is acknowledged."""

import asyncio
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.chaos.clients import Client, Order, Received

PENDING_MAX: Final = 400  # orders that wait for their answer; beyond that none is added
TICK_S: Final = 0.02
PAID_BY_ITSELF: Final = 10001  # centavos: a charge of this is paid a second later (pix-api.md §19.2)


@dataclass
class Load:
    """Sends orders of every kind and remembers what was acknowledged."""

    client: Client
    rate: float  # a second
    chance: Random
    acknowledged: dict[str, tuple[Order, Received]] = field(default_factory=dict)
    refused: list[Received] = field(default_factory=list)
    _pending: set[asyncio.Task[None]] = field(default_factory=set)
    _offered: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Offer orders until *stop* is set; then wait until every one is acknowledged."""
        began = time.monotonic()
        while not stop.is_set():
            due = int((time.monotonic() - began) * self.rate) - self._offered
            for _ in range(min(due, PENDING_MAX - len(self._pending))):
                self._offer()
            self._offered += max(0, due - PENDING_MAX)  # an overloaded moment is not made up for for ever
            await asyncio.sleep(TICK_S)
        await asyncio.gather(*self._pending)

    def acknowledged_ids(self) -> set[str]:
        """Return the ids of all payments and charges the shop was told of."""
        return {id_in(answer) for _, answer in self.acknowledged.values()}

    def _offer(self) -> None:
        self._offered += 1
        task = asyncio.create_task(self._settle(self._order(self._offered)))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _settle(self, order: Order) -> None:
        answer = await self.client.insist(order)
        if answer.status >= 300:
            self.refused.append(answer)
        else:
            self.acknowledged[order.key] = (order, answer)

    def _order(self, number: int) -> Order:
        kind = self.chance.random()
        if kind < 0.80:
            fields: dict[str, Any] = {"amount": f"{number % 900 + 1}.{number % 100:02}", "currency": "BRL"}
            return Order("/api/v1/payments", fields | {"reference": f"ORD-{number}"}, f"payment {number}")
        if kind < 0.90:
            fields = {
                "gateway": "sandbox",
                "amount": "25.00",
                "currency": "USD",
                "order_id": f"ORD-{number}",
                "customer_name": "Ana Lima",
                "customer_email": f"ana{number % 50}@example.com",
                "return_url": "https://shop.example/return",
            }
            return Order("/api/v1/payment-intents", fields, f"intent {number}")
        centavos = PAID_BY_ITSELF if kind < 0.95 else 20_000 + number % 10_000
        return Order("/api/external/pix/cash-in", {"amount": centavos, "external_id": f"o-{number}"}, f"pix {number}")


def id_in(answer: Received) -> str:
    """Return the id an acknowledgement gives to what was made."""
    made = answer.json()
    found: str = made["data"]["payment_id"] if "data" in made else made["transaction_id"]
    return found
