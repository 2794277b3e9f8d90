"""Every magic amount of a charge ends as its row of pix-api.md §19.2 says, in the API, the books and the events."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import pytest

from opentill.kernel.clock import SECOND
from opentill.sandbox_psp import magic
from tests.contract.api.counter import Counter

pytestmark = [pytest.mark.anyio, pytest.mark.checklist("X27")]

CREATED, PAID, EXPIRED, CANCELLED = (f"pix.charge.{end}" for end in ("created", "paid", "expired", "cancelled"))
REQUESTED, RETURNED = "pix.refund.requested", "pix.refund.completed"
CONTESTED = "pix.infraction.created"
Receipts = Sequence[tuple[str, str, int]]


class End(NamedTuple):
    """What a row comes to: status, events in their order, money by origin, state and centavos, and what is had."""

    status: str
    events: Sequence[str]
    receipts: Receipts
    available: int
    pending: int = 0


ENDS = {
    10001: End("completed", [CREATED, PAID], [("charge", "booked", 10001)], 10001),
    10002: End("pending", [CREATED], [("charge", "held", 10001)], 0, 10001),
    10003: End(
        "completed", [CREATED, PAID, PAID], [("charge", "booked", 10003), ("repeat", "booked", 10003)], 2 * 10003
    ),
    10004: End("completed", [CREATED, PAID], [("charge", "booked", 10004)], 10004),
    10005: End("completed", [CREATED, PAID], [("charge", "booked", 10005)], 10005),
    10006: End("completed", [CREATED, EXPIRED, PAID], [("charge", "booked", 10006)], 10006),
    10007: End("active", [CREATED], [], 0),
    10008: End("active", [CREATED], [], 0),
    10012: End("completed", [CREATED, PAID, CONTESTED, REQUESTED], [("charge", "booked", 10012)], 0, 10012),
    10013: End("completed", [CREATED, PAID, REQUESTED, RETURNED], [("charge", "booked", 10013)], 0),
    10014: End("completed", [CREATED, PAID, REQUESTED, RETURNED], [("charge", "booked", 10014)], 0),
    10015: End("completed", [CREATED, PAID], [("charge", "booked", 10015)], 10015),
    10016: End("cancelled", [CREATED, CANCELLED], [], 0),
}
REFUSED = {
    10009: (422, "The provider refused the charge"),
    10010: (503, "Provider unavailable, try again"),
    10011: (503, "Provider unavailable, try again"),
}


def test_every_row_has_its_end() -> None:
    told = magic.CREATION_FAULTS.keys() | magic.LIFETIMES_S.keys() | {magic.REMOVED, magic.CONTESTED, magic.TAKEN_BACK}
    assert sorted(ENDS.keys() | REFUSED.keys()) == list(range(10001, 10017))
    assert told < ENDS.keys() | REFUSED.keys()


@pytest.mark.parametrize("amount", ENDS)
async def test_a_magic_amount_ends_as_its_row_says(counter: Counter, amount: int) -> None:
    made = await counter.fine("POST", "/pix/cash-in", {"amount": amount})
    for _ in range(8):  # the bank's notices, and what is asked about within seconds
        await counter.goes_on(rounds=1, each_us=SECOND)
    if amount == 10004:
        assert await status_of(counter, made["transaction_id"]) == "active"  # nobody said so yet
    await counter.catches_up()

    end = ENDS[amount]
    assert await status_of(counter, made["transaction_id"]) == end.status
    assert await counter.events() == end.events
    assert await counter.shop.receipts() == end.receipts
    assert await counter.balance() == {
        "balance": (end.available + end.pending) * 100,
        "available": end.available * 100,
        "pending": end.pending * 100,
    }
    await counter.shop.books()
    await made_once(counter)


async def test_amounts_whose_creation_goes_wrong_leave_no_charge(counter: Counter) -> None:
    async def refused(amount: int) -> tuple[int, str]:
        answer = await counter.ask("POST", "/pix/cash-in", {"amount": amount, "external_id": f"order-{amount}"})
        assert (answer.status == 503) == ("retry-after" in answer.headers)
        return answer.status, answer.json()["detail"]

    assert await asyncio.gather(*map(refused, REFUSED)) == list(REFUSED.values())
    await counter.catches_up()
    assert (await counter.shop.bank_books())["charges"] == []
    assert (await counter.fine("GET", "/transactions"))["data"] == []
    assert {row["state"] for row in await counter.shop.rows("select state from pix_charge")} == {"rejected"}
    assert await counter.events() == []
    assert await counter.shop.books() == {}


async def test_a_payer_who_was_faster_than_the_answer_is_told_of_after_the_charge(counter: Counter) -> None:
    """10015, notified while the creation is still under way."""

    async def told_meanwhile() -> None:
        await counter.shop.is_told()

    counter.shop.after["create_charge"] = told_meanwhile
    made = await counter.fine("POST", "/pix/cash-in", {"amount": 10015})
    assert await counter.events() == [CREATED]
    await counter.goes_on()
    assert await status_of(counter, made["transaction_id"]) == "completed"
    assert await counter.events() == [CREATED, PAID]


async def status_of(counter: Counter, transaction_id: str) -> str:
    return str((await counter.fine("GET", f"/transactions/{transaction_id}"))["data"]["status"])


async def made_once(counter: Counter) -> None:
    """The bank made what was asked for, and made it once."""

    with closing(sqlite3.connect(counter.shop.folder / "bank.db")) as books:
        assert books.execute("select executions from charge").fetchall() == [(1,)]
