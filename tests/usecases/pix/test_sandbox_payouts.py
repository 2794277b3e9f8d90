"""Payouts and contests through the real driver at the sandbox bank: every magic amount ends as documented."""

import pytest

from opentill.kernel.clock import MINUTE, SECOND
from opentill.payments.infractions import flow as infractions
from opentill.pix.payouts.model import Payout, State
from opentill.pix.rejections import ROWS
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio


async def ended(shop: Shop, *, rounds: int = 12) -> None:
    for _ in range(rounds):
        await shop.pays_out(after_us=11 * SECOND)
        await shop.is_told()


def reais(centavos: int) -> str:
    return f"{centavos // 100}.{centavos % 100:02}"


@pytest.mark.checklist("X32", "L21")
async def test_every_rejection_by_amount_reaches_the_merchant(shop: Shop) -> None:
    shop.at_sandbox = True
    await shop.funds("999999.00")
    rows = [row for row in ROWS if row.number <= 61]
    sent: list[Payout] = [await shop.sends(reais(900_000 + row.number)) for row in rows]
    await ended(shop)
    for row, payout in zip(rows, sent, strict=True):
        failure = (await shop.payout(payout)).failure
        assert failure is not None, row
        assert (failure.reason, failure.code, failure.retryable) == (
            row.code or row.reason.upper(),
            row.reason,
            row.retryable,
        )
    assert await shop.books() == {"bank": -99_999_900, "available": 99_999_900}


@pytest.mark.checklist("X33")
@pytest.mark.parametrize("centavos", [910_001, 910_002, 910_003, 910_006, 910_007, 910_008, 910_009, 2_500])
async def test_what_goes_wrong_on_the_line_is_paid_once(shop: Shop, centavos: int) -> None:
    shop.at_sandbox = True
    await shop.funds("10000.00")
    sent = await shop.sends(reais(centavos))
    await ended(shop)
    assert (await shop.payout(sent)).state is State.COMPLETED
    assert await shop.books() == {"bank": centavos - 1_000_000, "available": 1_000_000 - centavos}
    assert (await shop.events()).count("payout.confirmed pix.payout.confirmed") == 1


@pytest.mark.parametrize(("centavos", "state", "back"), [(910_004, State.RETURNED, 910_004), (910_005, None, 455_002)])
async def test_what_comes_back_is_credited(shop: Shop, centavos: int, state: State | None, back: int) -> None:
    shop.at_sandbox = True
    await shop.funds("10000.00")
    sent = await shop.sends(reais(centavos))
    await ended(shop)
    found = await shop.payout(sent)
    assert found.state is (state or State.COMPLETED)
    assert abs(found.returned.units - back * 100) <= 100


async def test_one_centavo_more_is_never_booked(shop: Shop) -> None:
    shop.at_sandbox = True
    await shop.funds("10000.00")
    sent = await shop.sends("9100.10")
    await ended(shop)
    assert (await shop.payout(sent)).state in (State.UNKNOWN, State.PROCESSING)
    assert "the bank speaks of another amount" in await shop.reviews()


async def test_a_contest_at_the_sandbox_bank_is_blocked_and_returned(shop: Shop) -> None:
    shop.at_sandbox = True
    charge = await shop.charges("100.12")  # paid, contested a second later
    for _ in range(4):
        shop.passes(2 * SECOND)
        await shop.is_told()
    shop.passes(11 * MINUTE)
    await infractions.list_due(shop.tools)
    found = await shop.rows("select state, units, blocked_units from pix_infraction")
    assert [(row["state"], row["units"], row["blocked_units"]) for row in found] == [("open", 1_001_200, 1_001_200)]
    assert (await shop.found(charge)).state.value == "completed"
    assert await shop.books() == {"bank": -10_012, "held": 10_012}
