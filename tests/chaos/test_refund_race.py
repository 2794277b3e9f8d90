"""A hundred refunds of two percent at once: fifty succeed, and at the edges every unit counts (bar C5)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from opentill.db import Database, Options, open_database
from opentill.kernel.money import Money, currency, render
from opentill.ledger import verification as books
from opentill.payments import flow
from opentill.payments import verification as payments
from tests.contract.api.client import Response
from tests.contract.api.house import House, open_house

CALLERS: Final = 100
SUCCEED: Final = 50
CURRENCIES: Final = ("BRL", "JPY", "KWD", "CLF")


@pytest.mark.checklist("M54")
@pytest.mark.bar("C5", gate=20, target=200, quick=2)
async def test_refunds_never_exceed_the_payment(
    database_url: str, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance = Random(bar_seed)
    async with open_database(database_url, options=Options(writers=8)) as database:
        house = await open_house(database, tmp_path)
        for _ in range(bar_size):
            await race(house, Money(chance.randrange(1, 10_000) * 50 * 100, currency(chance.choice(CURRENCIES))))
            await edges(house, Money(chance.randrange(2, 10**6) * 10_000, currency(chance.choice(CURRENCIES))))
            house.clock.advance(60_000_000)  # another minute of the key's rate limit
        assert await audited(database) == []
        await house.close()
    bar_note(f"{bar_size * CALLERS} refunds asked for, {bar_size * SUCCEED} given")


async def race(house: House, amount: Money) -> None:
    """Ask for two percent a hundred times at once."""
    payment = await paid(house, amount)
    part = render(Money(amount.units // SUCCEED, amount.currency))

    answers = await asyncio.gather(*(refunded(house, payment, amount=part) for _ in range(CALLERS)))

    assert Counter(answer.status for answer in answers) == {201: SUCCEED, 400: CALLERS - SUCCEED}
    assert {answer.json()["data"]["status"] for answer in answers if answer.status == 201} == {"completed"}
    for answer in answers:
        if answer.status == 400:
            assert answer.json()["code"] == "INVALID_REFUND_PARAMETERS"
            assert amount.currency.code in answer.json()["message"]
    assert await returned(house, payment) == (render(amount), "full")


async def edges(house: House, amount: Money) -> None:
    """Less than nothing, nothing, the rest and one unit, the rest, and once more."""
    payment = await paid(house, amount)
    one = Money(100, amount.currency)
    assert (await refunded(house, payment, amount=render(one))).status == 201
    rest = amount - one

    for wrong in (f"-{render(one)}", render(Money(0, amount.currency)), render(rest + one)):
        refused = await refunded(house, payment, amount=wrong)
        assert refused.status == 400, wrong
        assert f"{render(rest)} {amount.currency.code}" in refused.json()["message"]
    assert await returned(house, payment) == (render(one), "partial")
    assert (await refunded(house, payment, amount=render(rest))).status == 201
    assert (await refunded(house, payment)).status == 400
    assert await returned(house, payment) == (render(amount), "full")


async def paid(house: House, amount: Money) -> str:
    """Return the reference of a payment paid at the sandbox, whose refunds are given at once."""
    fields = {"amount": render(amount), "currency": amount.currency.code}
    made: dict[str, Any] = (await house.merchant("POST", "/payments", fields)).json()["data"]
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, made["token"], "sandbox")
    await flow.submit(tools, made["token"], {"outcome": "paid"})
    reference: str = made["trx_id"]
    return reference


async def refunded(house: House, reference: str, **fields: str) -> Response:
    return await house.merchant("POST", "/refunds", {"transaction_id": reference, **fields}, key=house.shop.key)


async def returned(house: House, reference: str) -> tuple[str, str]:
    read = (await house.merchant("GET", f"/payments/{reference}")).json()["data"]
    return read["amount_refunded"], read["refund_status"]


async def audited(database: Database) -> list[str]:
    return await database.read(lambda tx: [*books.find_faults(tx), *payments.find_faults(tx)])
