"""What comes in the wrong order, too often, about nobody's charge, or by a clock that jumps (pix-api.md §16)."""

import asyncio
from random import Random
from typing import Any

import pytest

from opentill.kernel.clock import HOUR, MINUTE
from opentill.pix.identifiers import end_to_end_id
from tests.contract.api.counter import Counter

pytestmark = pytest.mark.anyio
SENT: dict[str, Any] = {"amount": 1000, "pix_key": "fulano@example.com"}


@pytest.mark.parametrize("seed", range(3))
async def test_callbacks_of_unknown_charges_five_times_and_shuffled_book_nothing_and_cost_nothing(
    counter: Counter, seed: int
) -> None:
    shop, chance = counter.shop, Random(seed)
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay", {"notify": "twice"})
    strangers = [
        {
            "endToEndId": end_to_end_id(shop.scene.ids, "99999002", shop.clock.now()),
            "txid": f"ot{shop.scene.ids.alnum(25).lower()}",
            "valor": "30.00",
            "horario": "2026-03-07T15:30:00.000Z",
        }
        for _ in range(10)
    ]
    calls = strangers * 5
    chance.shuffle(calls)
    for number, item in enumerate(calls):
        assert 200 <= await shop.hears(item) < 300
        if number % 10 == 0:
            await counter.goes_on(rounds=1)
    await counter.catches_up()
    await shop.hears_again()
    await counter.catches_up()

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await counter.events() == ["pix.charge.created", "pix.charge.paid"]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


@pytest.mark.parametrize("amount", [10_015, 10_005, 10_014])
async def test_money_told_of_before_our_own_call_has_returned_is_booked_once(counter: Counter, amount: int) -> None:
    """The bank tells before it answers, thrice, and the return before the payment."""
    telling = asyncio.create_task(_rings(counter))
    charge = await counter.fine("POST", "/pix/cash-in", {"amount": amount})
    await telling
    await counter.goes_on(rounds=5)
    await counter.catches_up()
    row = (await counter.fine("GET", f"/transactions/{charge['transaction_id']}"))["data"]
    assert (row["status"], row["amount"]) == ("completed", amount * 100)
    assert (await counter.events()).count("pix.charge.paid") == 1
    await counter.shop.books()


async def _rings(counter: Counter) -> None:
    for _ in range(20):
        await counter.shop.rings()
        await asyncio.sleep(0.01)


@pytest.mark.checklist("X35")
async def test_of_an_approval_and_a_rejection_at_once_one_counts(counter: Counter) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    await counter.shop.allows(approve_from_units=1)
    first, second = await counter.another("transfer:approve"), await counter.another("transfer:approve")
    path, ended = "/pix/cash-out/approve", {"approve": 0, "reject": 0}
    for _ in range(10):
        name = (await counter.fine("POST", "/pix/cash-out", SENT))["transaction_id"]
        decisions = ["approve", "reject"] * 2
        asked = [{"transaction_id": name, "decision": decision} for decision in decisions]
        answers = await asyncio.gather(
            *(counter.ask("POST", path, one, by=by) for one, by in zip(asked, (first, second) * 2, strict=True))
        )
        (counted,) = [number for number, answer in enumerate(answers) if answer.status == 200]
        ended[decisions[counted]] += 1
        for number, answer in enumerate(answers):
            if number != counted:
                assert (answer.status, answer.json()["detail"]) == (422, "Transaction has already been processed")
    await counter.goes_on()
    states = [row["state"] for row in await counter.shop.rows("select state from pix_payout")]
    assert (states.count("completed"), states.count("failed")) == (ended["approve"], ended["reject"])
    left = 100_000 - SENT["amount"] * ended["approve"]
    assert await counter.balance() == {"balance": left * 100, "available": left * 100, "pending": 0}


@pytest.mark.parametrize("step", [-2 * HOUR, -5 * MINUTE, 3 * HOUR])
async def test_a_clock_that_jumps_loses_nothing_and_does_nothing_twice(counter: Counter, step: int) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    for amount in (1_000, 910_001 - 900_000):
        await counter.fine("POST", "/pix/cash-out", {**SENT, "amount": amount})
    await counter.goes_on(rounds=1)
    counter.shop.passes(step)
    refund = await counter.fine("POST", "/pix/refund", {"original_transaction_id": charge, "amount": 500})
    await counter.goes_on()
    await counter.goes_on(rounds=3, each_us=abs(step))
    await counter.catches_up()

    shown = [(await counter.fine("GET", f"/transactions/{name}"))["data"] for name in (charge, refund["refund_id"])]
    assert [row["status"] for row in shown] == ["completed", "completed"]
    left = 100_000 + 3_000 - 500 - 1_000 - 10_001
    assert await counter.balance() == {"balance": left * 100, "available": left * 100, "pending": 0}
    assert (await counter.events()).count("pix.payout.confirmed") == 2
    assert await counter.shop.books() == {"bank": -left, "available": left}
