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

ARRIVES_S_MAX: Final = 60
PAID: Final = 10_001  # centavos: the sandbox bank pays a charge of this by itself (pix-api.md §19.2)


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
        "link",
        "/api/v1/payment-links",
        {"title": "Earl Grey", "amount": "24.90", "currency": "BRL"},
        201,
        {"payment_link": 1, "idempotency": 1},
    ),
    Operation(
        "invoice",
        "/api/v1/invoices",
        {
            "customer": {"name": "Bia", "email": "bia@example.com"},
            "currency": "BRL",
            "items": [{"description": "Consulting, hours", "quantity": "1.5", "unit_price": "180.00"}],
        },
        201,
        {"invoice": 1, "invoice numbers": 1, "customer": 1, "event": 1, "idempotency": 1},
    ),
    Operation(
        "webhook",
        "/api/external/webhooks",
        {"url": "https://yoursite.com/webhook", "events": ["pix.charge.paid"]},
        201,
        {"webhook_endpoint": 1, "webhook_secret": 1, "idempotency": 1},
    ),
)
# What moves money goes on after its answer: the bank is told, and tells. These are counted when that is over.
MOVING: Final = (
    Operation(
        "refund",
        "/api/v1/refunds",
        {"transaction_id": "order-9876", "amount": "10.00"},
        201,
        {"refund": 1, "returns at the bank": 1, "returned centavos": 1_000, "idempotency": 1},
    ),
    Operation(
        "PIX refund",
        "/api/external/pix/refund",
        {"transaction_id": "order-9876", "amount": 500},
        200,
        {"refund": 1, "returns at the bank": 1, "returned centavos": 500, "idempotency": 1},
    ),
    Operation(
        "cash-out",
        "/api/external/pix/cash-out",
        {"amount": 300, "pix_key": "fulano@example.com", "external_id": "order-9876"},
        200,
        {"pix_payout": 1, "payouts at the bank": 1, "sent centavos": 300, "idempotency": 1},
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
    "payment_link",
    "invoice",
    "refund",
    "pix_payout",
    "idempotency",
)


@pytest.mark.bar("C3", gate={"callers": 200, "rounds": 3}, target={"callers": 200, "rounds": 10}, quick={"callers": 30})
@pytest.mark.checklist("M47", "X20")
async def test_two_hundred_callers_with_one_key_are_one_caller(
    till: Install, bar_size: dict[str, int], bar_note: Callable[[str], None]
) -> None:
    shop = till.add_shop()
    webs = await web_servers(till)
    callers, rounds = bar_size["callers"], bar_size.get("rounds", 1)
    conflicts = answered = 0

    async with Client(shop, webs, connections_max=0) as client:
        for number in range(rounds):
            received = await money(till, client, number)
            for operation in (*OPERATIONS, *MOVING):
                fields = varied(operation.fields, number)
                if "transaction_id" in fields:
                    fields["transaction_id"] = received
                order = Order(operation.path, fields, f"{operation.name} {number}")
                before = await effects_in(till)
                answers = await asyncio.gather(*(client.send(order) for _ in range(callers)))
                later = await asked_again(client, order, answers)

                told = f"{operation.name}, round {number}"
                done = [answer for answer in answers if answer.status == operation.status]
                conflicts, answered = conflicts + len(answers) - len(done), answered + len(answers)
                statuses = Counter(answer.status for answer in answers)
                assert statuses.keys() <= {operation.status, IN_PROGRESS}, told
                assert len({answer.body for answer in [*done, *later]}) == 1, told
                assert sum(not answer.replayed for answer in done) <= 1, told
                assert all(answer.replayed and answer.status == operation.status for answer in later), told
                if operation in MOVING:
                    await until_done(till, before, operation, told)
                else:
                    assert await effects_in(till) - before == Counter(operation.effects), told

    assert till.verify()["faults"] == []
    bar_note(f"{conflicts} of {answered} answers were 409 first")


async def money(till: Install, client: Client, number: int) -> str:
    """Have a charge paid, so that there is something to give back and to send; return its end-to-end id."""
    asked = {"amount": PAID, "external_id": f"paid-{number}"}
    made = await client.insist(Order("/api/external/pix/cash-in", asked, f"money {number}"))
    assert made.status == 200, made.body

    def arrived(tx: ReadTx) -> list[str]:
        return [row["ref"] for row in tx.all("select ref from receipt order by id")]

    async with till.open_database() as database, asyncio.timeout(ARRIVES_S_MAX):
        while len(refs := await database.read(arrived)) <= number:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.2)
    return refs[number]


async def until_done(till: Install, before: Counter[str], operation: Operation, told: str) -> None:
    """Return when the bank has done all it was asked for, and see that this is no more than it should be."""
    wanted = Counter(operation.effects)

    def relevant(counted: Counter[str]) -> Counter[str]:
        return Counter({name: counted[name] - before[name] for name in wanted})

    async with asyncio.timeout(ARRIVES_S_MAX):
        while relevant(await effects_in(till)) != wanted:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)  # a second execution would come now
    assert relevant(await effects_in(till)) == wanted, told


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
        rows["invoice numbers"] = tx.one_or_none("select coalesce(sum(last), 0) as n from invoice_number")
        return Counter({table: row["n"] for table, row in rows.items() if row is not None})

    async with till.open_database() as database:
        found = await database.read(count)
    return found + at_the_bank(till)


def at_the_bank(till: Install) -> Counter[str]:
    """Count the charges the sandbox bank made, and how often it was asked to."""
    with closing(sqlite3.connect(till.data / "sandbox-bank.db")) as books:
        charges, executions = books.execute("select count(*), coalesce(sum(executions), 0) from charge").fetchone()
        payouts, sent = books.execute("select count(*), coalesce(sum(amount), 0) from payout").fetchone()
        returns, returned = books.execute("select count(*), coalesce(sum(amount), 0) from return").fetchone()
    return Counter(
        {
            "charges at the bank": charges,
            "creations at the bank": executions,
            "payouts at the bank": payouts,
            "sent centavos": sent,
            "returns at the bank": returns,
            "returned centavos": returned,
        }
    )


def varied(fields: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the fields of another round: another person, another address, another order."""
    text = json.dumps(fields)
    for name in ("ana@", "jane@", "bia@", "/webhook", "order-9876"):
        text = text.replace(name, f"{name[:-1]}-{number}{name[-1]}")
    return dict(json.loads(text))
