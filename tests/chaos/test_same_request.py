"""One request, sent by two hundred callers at once, is done once, and all of them get the same answer."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import pytest

from opentill.db import ReadTx
from tests.chaos.clients import IN_PROGRESS, Client, Order, Received
from tests.chaos.servers import Install, Process, start

NOT_THERE_YET: Final = "without refund, cash-out, link and invoice, which do not exist yet"


@dataclass(frozen=True)
class Operation:
    """What is asked, the status it answers with, and everything it may leave behind."""

    name: str
    path: str
    fields: dict[str, Any]
    status: int
    effects: dict[str, int]


PAYMENT: Final = {"amount": "99.90", "currency": "BRL", "reference": "ORD-1", "customer_email": "ana@example.com"}
INTENT: Final = {
    "gateway": "sandbox",
    "amount": "99.99",
    "currency": "USD",
    "order_id": "ORD-1001",
    "customer_name": "Jane Smith",
    "customer_email": "jane@example.com",
    "return_url": "https://shop.example/return",
}
OPERATIONS: Final = (
    Operation("payment", "/api/v1/payments", PAYMENT, 201, {"payment": 1, "event": 2, "customer": 1, "idempotency": 1}),
    Operation(
        "payment intent",
        "/api/v1/payment-intents",
        INTENT,
        201,
        {"payment": 1, "event": 2, "customer": 1, "idempotency": 1},
    ),
    Operation(
        "cash-in",
        "/api/external/pix/cash-in",
        {"amount": 3_000, "external_id": "order-9876"},
        200,
        {
            "payment": 1,
            "pix_charge": 1,
            "event": 1,
            "idempotency": 1,
            "charges at the bank": 1,
            "creations at the bank": 1,
        },
    ),
    Operation(
        "webhook",
        "/api/external/webhooks",
        {"url": "https://yoursite.com/webhook", "events": ["pix.charge.paid"]},
        201,
        {"webhook_endpoint": 1, "webhook_secret": 1, "idempotency": 1},
    ),
)
TABLES: Final = (
    "payment",
    "customer",
    "event",
    "journal",
    "posting",
    "receipt",
    "pix_charge",
    "webhook_endpoint",
    "webhook_secret",
    "idempotency",
)


@pytest.mark.bar("C3", gate={"callers": 200, "rounds": 3}, target={"callers": 200, "rounds": 10}, quick={"callers": 30})
async def test_two_hundred_callers_with_one_key_are_one_caller(
    till: Install, bar_size: dict[str, int], bar_note: Callable[[str], None]
) -> None:
    shop = till.add_shop()
    webs = await web_servers(till)
    callers, rounds = bar_size["callers"], bar_size.get("rounds", 1)
    conflicts = 0

    async with Client(shop, webs, connections_max=0) as client:
        for number in range(rounds):
            for operation in OPERATIONS:
                order = Order(operation.path, varied(operation.fields, number), f"{operation.name} {number}")
                before = await effects_in(till)
                answers = await asyncio.gather(*(client.send(order) for _ in range(callers)))
                later = await asked_again(client, order, answers)

                told = f"{operation.name}, round {number}"
                done = [answer for answer in answers if answer.status == operation.status]
                conflicts += len(answers) - len(done)
                statuses = Counter(answer.status for answer in answers)
                assert statuses.keys() <= {operation.status, IN_PROGRESS}, told
                assert len({answer.body for answer in [*done, *later]}) == 1, told
                assert sum(not answer.replayed for answer in done) <= 1, told
                assert all(answer.replayed and answer.status == operation.status for answer in later), told
                assert await effects_in(till) - before == Counter(operation.effects), told

    assert till.verify()["faults"] == []
    bar_note(f"{NOT_THERE_YET}; {conflicts} of {rounds * len(OPERATIONS) * callers} answers were 409 first")


async def web_servers(till: Install) -> list[Process]:
    """Start one web server on SQLite, two and a worker on PostgreSQL."""
    webs = [till.web()] if till.embedded else [till.web(), till.web()]
    await start(*webs, *([] if till.embedded else [till.worker()]))
    return webs


async def asked_again(client: Client, order: Order, answers: Sequence[Received]) -> list[Received]:
    """Let those who were told that the request is under way ask again, and one more for good measure."""
    again = [answer for answer in answers if answer.status == IN_PROGRESS]
    return list(await asyncio.gather(*(client.insist(order) for _ in range(len(again) + 1))))


async def effects_in(till: Install) -> Counter[str]:
    """Count everything the operations may leave behind, here and at the bank."""

    def count(tx: ReadTx) -> Counter[str]:
        rows = {table: tx.one_or_none(f"select count(*) as n from {table}") for table in TABLES}
        return Counter({table: row["n"] for table, row in rows.items() if row is not None})

    async with till.open_database() as database:
        found = await database.read(count)
    return found + at_the_bank(till)


def at_the_bank(till: Install) -> Counter[str]:
    """Count the charges the sandbox bank made, and how often it was asked to."""
    with closing(sqlite3.connect(till.data / "sandbox-bank.db")) as books:
        charges, executions = books.execute("select count(*), coalesce(sum(executions), 0) from charge").fetchone()
    return Counter({"charges at the bank": charges, "creations at the bank": executions})


def varied(fields: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the fields of another round: another person, another address, another order."""
    text = json.dumps(fields)
    for name in ("ana@", "jane@", "/webhook", "order-9876"):
        text = text.replace(name, f"{name[:-1]}-{number}{name[-1]}")
    return dict(json.loads(text))
