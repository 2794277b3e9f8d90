"""Amounts, fees and the balance of the PIX API, after every step of what can happen (pix-api.md §8.2, §13.5)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from opentill.api.external.amounts import reais
from opentill.db import Database
from opentill.kernel.clock import DAY, HOUR, SECOND
from tests.contract.api.counter import Counter, open_counter
from tests.usecases.pix.shop import KEY

pytestmark = pytest.mark.anyio
HELD = """
    select (select coalesce(sum(units + fee_units), 0) from pix_payout
             where state not in ('completed', 'failed', 'returned'))
         + (select coalesce(sum(charge_units), 0) from refund
             where status = 'pending' and not exists
                   (select 1 from receipt r where r.id = refund.receipt_id and r.state = 'held'))
         + (select coalesce(sum(blocked_units), 0) from pix_infraction)
         + (select coalesce(sum(units), 0) from receipt where state = 'held') as units
"""


class Watched(Counter):
    """A counter whose balance is looked at after every call and every step of time."""

    async def ask(self, method: str, target: str, fields: object = None, **more: Any) -> Any:
        answer = await super().ask(method, target, fields, **more)
        if target != "/balance":
            await self.watch()
        return answer

    async def goes_on(self, *, rounds: int = 3, each_us: int = 2 * SECOND) -> None:
        for _ in range(rounds):
            await super().goes_on(rounds=1, each_us=each_us)
            await self.watch()

    async def watch(self) -> None:
        """The parts add up, and what is pending is the sum of what holds name."""
        seen = await self.balance()
        (held,) = await self.shop.rows(HELD)
        assert seen["pending"] == int(held["units"])


@pytest.fixture
async def counter(database: Database, tmp_path: Path) -> AsyncIterator[Watched]:
    async with open_counter(database, tmp_path) as opened:
        watched = Watched(opened.shop, opened.credential)
        for gateway, units in (("pix", 250), ("pix-payout", 350)):
            await watched.shop.run(
                "insert into fee_rule (merchant_id, gateway, currency, fixed_units, created_at)"
                " values (null, :gateway, 'BRL', :units, 0)",
                gateway=gateway,
                units=units,
            )
        yield watched
        await watched.shop.books()


@pytest.mark.checklist("X24")
def test_fees_are_printed_with_as_many_decimals_as_they_need() -> None:
    printed = {350: "R$ 0,035", 250: "R$ 0,025", 0: "R$ 0,000", 1: "R$ 0,0001", 12_345: "R$ 1,2345", 10_000: "R$ 1,000"}
    assert {units: reais(units, decimals=3) for units in printed} == printed
    amounts = {300_000: "R$ 30,00", 12_345_678_900: "R$ 1.234.567,89", 300_050: "R$ 30,005", 100: "R$ 0,01"}
    assert {units: reais(units, decimals=2) for units in amounts} == amounts


@pytest.mark.checklist("X24")
async def test_sending_adds_its_fee_and_receiving_takes_it_off(counter: Watched) -> None:
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    await counter.goes_on()
    asked = {"amount": 1000, "pix_key": "fulano@example.com"}
    sent = await counter.fine("POST", "/pix/cash-out", asked)
    await counter.goes_on()

    came = (await counter.fine("GET", f"/transactions/{charge}"))["data"]
    gone = (await counter.fine("GET", f"/transactions/{sent['transaction_id']}"))["data"]
    assert (came["amount"], came["fee_amount"], came["net_amount"]) == (300_000, 250, 299_750)
    assert (gone["amount"], gone["fee_amount"], gone["net_amount"]) == (100_000, 350, 100_350)
    assert (sent["amount"], sent["fee_amount"], sent["net_amount"]) == (100_000, 350, 100_350)
    proofs = [(await counter.fine("GET", f"/transactions/{name}/receipt"))["receipt"] for name in (charge, gone["id"])]
    assert [(one["fee_formatted"], one["amount_formatted"]) for one in proofs] == [
        ("R$ 0,025", "R$ 30,00"),
        ("R$ 0,035", "R$ 10,00"),
    ]
    assert await counter.balance() == {"balance": 199_400, "available": 199_400, "pending": 0}
    told = {doc["payout"]["net_units"] for doc in await counter.shop.documents() if "payout" in doc}
    assert told == {100_350}


async def test_a_fee_may_be_more_than_what_is_sent_but_not_more_than_what_came(counter: Watched) -> None:
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": 1}))["transaction_id"]
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    await counter.goes_on()
    row = (await counter.fine("GET", f"/transactions/{charge}"))["data"]
    assert (row["amount"], row["fee_amount"], row["net_amount"]) == (100, 100, 0)
    await counter.fine("POST", "/sandbox/fund", {"amount": 100})
    sent = await counter.fine("POST", "/pix/cash-out", {"amount": 1, "pix_key": "fulano@example.com"})
    assert (sent["fee_amount"], sent["net_amount"]) == (350, 450)


async def paid(counter: Watched, **more: Any) -> tuple[str, list[str]]:
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    answer = await counter.fine("POST", f"/sandbox/charges/{charge}/pay", more)
    await counter.goes_on()
    return str(charge), answer["end_to_end_ids"]


async def payout(counter: Watched, amount: int) -> str:
    made = await counter.fine("POST", "/pix/cash-out", {"amount": amount, "pix_key": "fulano@example.com"})
    return str(made["transaction_id"])


async def receives(counter: Watched) -> None:
    await paid(counter, count=2, notify="twice")
    await paid(counter, amount=2_999)
    await counter.fine("POST", "/sandbox/receipts", {"pix_key": KEY, "amount": 77})
    late = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    await counter.fine("POST", f"/sandbox/charges/{late}/expire")
    await counter.fine("POST", f"/sandbox/charges/{late}/pay")
    gone = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    await counter.fine("POST", f"/pix/cash-in/{gone}/cancel")
    await counter.catches_up()


async def plays_magic_amounts(counter: Watched) -> None:
    for amount in (10_001, 10_002, 10_003, 10_004, 10_005, 10_012, 10_013, 10_014, 10_015, 10_016):
        await counter.fine("POST", "/pix/cash-in", {"amount": amount})
    await counter.goes_on()
    await counter.catches_up()


async def sends(counter: Watched) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 10_000_000})
    for amount in (900_004, 900_051, 910_001, 910_002, 910_004, 910_005, 910_007, 910_010):
        await payout(counter, amount)
    waits = await payout(counter, 910_011)
    await counter.goes_on()
    await counter.fine("POST", f"/sandbox/payouts/{waits}/settle")
    await counter.goes_on(rounds=6, each_us=11 * SECOND)
    await counter.fine("POST", f"/sandbox/payouts/{waits}/return", {"amount": 1})
    await counter.goes_on(rounds=2, each_us=DAY)
    too_much = await counter.ask("POST", "/pix/cash-out", {"amount": 10_000_000, "pix_key": "fulano@example.com"})
    assert too_much.json()["detail"] == "Insufficient balance"


async def decides(counter: Watched) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    await counter.shop.allows(approve_from_units=100, payouts_per_minute=1)
    first, second, third, fourth = [await payout(counter, 1_000) for _ in range(4)]
    approver = await counter.another("transfer:approve")
    for name in (first, fourth):
        await counter.fine("POST", "/pix/cash-out/approve", {"transaction_id": name}, by=approver)
    await counter.fine("POST", "/pix/cash-out/approve", {"transaction_id": second, "decision": "reject"}, by=approver)
    await counter.goes_on()
    await counter.goes_on(rounds=2, each_us=25 * HOUR)
    states = {row["id"]: row["state"] for row in await counter.shop.rows("select id, state from pix_payout")}
    assert (states[first], states[second], states[third]) == ("completed", "failed", "failed")


async def gives_back(counter: Watched) -> None:
    charge, _ = await paid(counter)
    for amount in (113, 114, 115, 116, 117, 118):
        await counter.fine("POST", "/pix/refund", {"original_transaction_id": charge, "amount": amount})
    await counter.goes_on(rounds=6, each_us=11 * SECOND)
    await counter.catches_up()


async def is_contested(counter: Watched) -> None:
    _, (first,) = await paid(counter)
    _, (second,) = await paid(counter)
    await payout(counter, 5_000)
    await counter.goes_on()
    larger = await counter.fine("POST", "/sandbox/med", {"end_to_end_id": first})  # than what is left
    await paid(counter)  # fills it up
    other = await counter.fine("POST", "/sandbox/med", {"end_to_end_id": second, "amount": 1_000})
    await counter.fine("POST", f"/med/{other['med_id']}/defense", {"defense_text": "Delivered."})
    await counter.fine("POST", f"/sandbox/med/{larger['med_id']}/resolve", {"result": "AGREED"})
    await counter.fine("POST", f"/sandbox/med/{other['med_id']}/resolve", {"result": "DISAGREED"})
    await counter.catches_up()


@pytest.mark.checklist("X25")
@pytest.mark.parametrize("scenario", [receives, plays_magic_amounts, sends, decides, gives_back, is_contested])
async def test_the_balance_is_what_is_available_and_what_holds_name_after_every_step(
    counter: Watched, scenario: Callable[[Watched], Awaitable[None]]
) -> None:
    await scenario(counter)
    await counter.watch()
