"""However often and in whatever order a bank tells what happened, the end is the same (bar C8)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from opentill.db import Database, Row
from opentill.kernel.clock import MINUTE, SECOND
from opentill.payments import flow
from opentill.payments.pix import flow as pix_flow
from opentill.payments.tools import Tools
from opentill.pix.model import Charge
from tests.usecases.pix.shop import KEY, Shop, open_shop

CHARGES: Final = 3  # of an example
COPIES_MAX: Final = 5
TURNS_MAX: Final = 12  # of the two workers, between the deliveries
LIFETIME_S: Final = 3_600
AUDITED_EVERY: Final = 20  # examples: the auditor reads all of the books, and a fault in them stays

Fact = Callable[[Shop, Charge], Awaitable[object]]
Delivery = tuple[str, bytes]


async def paid(shop: Shop, charge: Charge) -> None:
    await shop.payer_pays(charge)


async def paid_twice(shop: Shop, charge: Charge) -> None:
    await shop.payer_pays(charge, count=2)


async def paid_short(shop: Shop, charge: Charge) -> None:
    await shop.payer_pays(charge, amount=charge.amount.minor - 1, force=True)


async def paid_and_never_told(shop: Shop, charge: Charge) -> None:
    await shop.payer_pays(charge, notify="never")


async def paid_and_returned_by_the_bank(shop: Shop, charge: Charge) -> None:
    [e2e_id] = await shop.payer_pays(charge)
    await shop.sim("returns", {"e2e_id": e2e_id, "amount": 500, "nature": "MED_FRAUDE"})


async def paid_beside_the_charge(shop: Shop, charge: Charge) -> None:
    await shop.pays_key(KEY, charge.amount.minor, label=f"X{charge.amount.minor}")


async def not_paid(_shop: Shop, _charge: Charge) -> None:
    return None


FACTS: Final[Sequence[Fact]] = (
    paid,
    paid,
    paid_twice,
    paid_short,
    paid_and_never_told,
    paid_and_returned_by_the_bank,
    paid_beside_the_charge,
    not_paid,
)


@dataclass
class End:
    """What one run came to: of each charge its state and receipts, and of all together the books and the events."""

    charges: list[tuple[str, str, list[tuple[str, str, int]]]]
    books: dict[str, int]
    events: Counter[str]


@pytest.mark.bar("C8", gate=200, target=5_000, quick=8)
async def test_the_end_is_that_of_the_run_in_order(
    database: Database, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    delivered = 0
    async with open_shop(database, tmp_path, seed=bar_seed % 10_000) as shop:
        for number in range(bar_size):
            chance = Random(bar_seed + number)
            facts = [chance.choice(FACTS) for _ in range(CHARGES)]
            amounts = [chance.randrange(1_000, 9_000) for _ in range(CHARGES)]
            in_order = await run(shop, facts, amounts, in_turn)

            async def shuffled(shop: Shop, told: list[Delivery], chance: Random = chance) -> int:
                return await at_random(shop, told, chance)

            any_order = await run(shop, facts, amounts, shuffled)
            assert any_order == in_order, f"example {number} of seed {bar_seed}: {[fact.__name__ for fact in facts]}"
            delivered += sum(any_order.events.values())
            if number % AUDITED_EVERY == 0:
                await shop.books()
        await shop.books()
    bar_note(f"{bar_size} examples, {delivered} events recorded in any order as in order")


async def run(
    shop: Shop,
    facts: Sequence[Fact],
    amounts: Sequence[int],
    tell: Callable[[Shop, list[Delivery]], Awaitable[int]],
) -> End:
    """Have the same things happen to new charges, tell of them, and return what became of it."""
    charges = [await shop.charges(f"{amount // 100}.{amount % 100:02}", expires_in_s=LIFETIME_S) for amount in amounts]
    seen, books = await last_seq(shop), await shop.balances()
    told: list[Delivery] = []

    async def hear(url: str, body: bytes) -> int:
        told.append((url, body))
        return 200

    for fact, charge in zip(facts, charges, strict=True):
        await fact(shop, charge)
    for _ in range(2):
        await shop.bank.tick(hear)
    await tell(shop, told)
    await settle(shop)
    return await end_of(shop, charges, seen, books)


async def in_turn(shop: Shop, told: list[Delivery]) -> int:
    """Deliver each once, and let one worker confirm each before the next comes."""
    for url, body in told:
        assert await shop.tell(url, body) == 200
        await pix_flow.confirm_due_hints(shop.tools)
    return len(told)


async def at_random(shop: Shop, told: list[Delivery], chance: Random) -> int:
    """Deliver each one to five times, shuffled, while two workers confirm, look and sweep."""
    deliveries = [delivery for delivery in told for _ in range(chance.randint(1, COPIES_MAX))]
    chance.shuffle(deliveries)
    workers = (shop.tools, shop.another_worker())
    turns = [chance.choice((confirm, confirm, look, sweep)) for _ in range(chance.randint(2, TURNS_MAX))]
    work: list[tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]] = [(shop.tell, each) for each in deliveries]
    work += [(turn, (chance.choice(workers),)) for turn in turns]
    chance.shuffle(work)
    while work:
        number = chance.randint(1, 4)
        at_once, work = work[:number], work[number:]
        await asyncio.gather(*(do(*arguments) for do, arguments in at_once))
    return len(deliveries)


async def confirm(tools: Tools) -> None:
    await pix_flow.confirm_due_hints(tools)


async def look(tools: Tools) -> None:
    await pix_flow.look_at_due(tools)


async def sweep(tools: Tools) -> None:
    await pix_flow.sweep(tools)


async def settle(shop: Shop) -> None:
    """Let time pass until nothing more can come: hints are done, the sweep was there, unpaid charges are over."""
    for wait in (SECOND, MINUTE, 4 * MINUTE, (LIFETIME_S + 60) * SECOND, 20 * MINUTE):
        shop.passes(wait)
        await pix_flow.confirm_due_hints(shop.tools)
        await pix_flow.look_at_due(shop.tools)
        await pix_flow.sweep(shop.tools)
        await flow.expire_due(shop.tools)


async def end_of(shop: Shop, charges: Sequence[Charge], seen: int, before: dict[str, int]) -> End:
    shown = []
    for charge in charges:
        payment = await shop.payment_of(charge)
        receipts = await shop.rows(
            "select origin, state, units from receipt where payment_id = :id order by id", id=payment.id
        )
        counted = [(row["origin"], row["state"], row["units"]) for row in receipts]
        shown.append(((await shop.state(charge)).value, payment.status.value, counted))
    after = await shop.balances()
    events = await shop.rows("select type, pix_type from event where seq > :seen", seen=seen)
    moved = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
    return End(shown, {name: moved[name] for name in sorted(moved) if moved[name]}, Counter(map(name_of, events)))


def name_of(event: Row) -> str:
    return " ".join(filter(None, (event["type"], event["pix_type"])))


async def last_seq(shop: Shop) -> int:
    [row] = await shop.rows("select coalesce(max(seq), 0) as seq from event")
    return int(row["seq"])
