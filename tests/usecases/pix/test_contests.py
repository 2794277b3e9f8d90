"""Contested receipts: blocked, defended, released or returned (pix-api.md §16.5)."""

import re
from dataclasses import replace
from typing import Any

import pytest

from opentill.db import Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, after
from opentill.kernel.errors import Refused
from opentill.payments.infractions import flow, service
from opentill.payments.infractions.model import Infraction, State
from opentill.payments.pix import service as money
from opentill.pix import store as rows
from opentill.pix.identifiers import return_id
from opentill.pix.port import InfractionState, Nature, ProviderInfraction, ProviderReturn, ReturnState
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio
REF = "inf-1"


async def contested(shop: Shop, reais: int = 3_000, **more: Any) -> ProviderInfraction:
    """Have the bank announce a contest of the last receipt."""
    e2e_id = (await shop.rows("select ref from receipt order by id desc limit 1"))[0]["ref"]
    said = ProviderInfraction(
        ref=REF,
        e2e_id=e2e_id,
        state=InfractionState.OPEN,
        provider_status="OPEN",
        kind="REFUND_REQUEST",
        amount_centavos=reais,
        reason="FRAUD",
        opened_at=shop.clock.now(),
    )
    shop.payout_bank.infractions[REF] = replace(said, **more)
    await lists(shop)
    return shop.payout_bank.infractions[REF]


async def lists(shop: Shop) -> None:
    shop.passes(10 * MINUTE + 1)
    await flow.list_due(shop.tools)


async def resolved(shop: Shop, state: InfractionState) -> None:
    shop.payout_bank.infractions[REF] = replace(shop.payout_bank.infractions[REF], state=state)
    await lists(shop)


async def goes_back(shop: Shop, said: ProviderInfraction, centavos: int) -> None:
    """Have the bank return money to the payer, and show it among the returns of the receipt."""
    now = shop.clock.now()
    rail_id = return_id(shop.scene.ids, "99999001", now)
    came = ProviderReturn(
        "x" + rail_id, rail_id, centavos, ReturnState.COMPLETED, Nature.MED_FRAUD, requested_at=now, settled_at=now
    )

    def book(tx: Tx) -> None:
        account = rows.account(tx, shop.account_id)
        assert account is not None
        receipt = replace(await_receipt(shop, said), returns=(came,))
        money.note_returns(tx, account, receipt, ids=shop.scene.ids, keyring=shop.scene.keyring, now=now)

    for _ in range(2):  # seen by hint and by sweep
        await shop.db.write(book)


def await_receipt(shop: Shop, said: ProviderInfraction) -> Any:
    return replace(shop.last_receipt, e2e_id=said.e2e_id)


async def infraction(shop: Shop) -> Infraction:
    found = await shop.db.read(lambda tx: service.listed(tx, owner=shop.merchant.owner))
    return found[0]


async def told(shop: Shop) -> list[str]:
    return [name for name in await shop.events() if name.startswith(("infraction", "dispute"))]


OPENED = ["infraction.created pix.infraction.created", "dispute.created pix.refund.requested"]
CLOSED = ["infraction.resolved pix.infraction.resolved", "dispute.resolved pix.refund.completed"]


@pytest.mark.checklist("X42", "L20")
async def test_a_contest_blocks_the_money_and_a_refused_one_gives_it_back(shop: Shop) -> None:
    await shop.funds("100.00")
    await contested(shop, 3_000)
    assert await shop.books() == {"bank": -10_000, "available": 7_000, "held": 3_000}
    await lists(shop)  # heard again
    assert await told(shop) == OPENED

    await resolved(shop, InfractionState.REJECTED)
    assert await shop.books() == {"bank": -10_000, "available": 10_000}
    assert await told(shop) == OPENED + CLOSED
    part = (await shop.documents())[-1]["med"]
    assert (part["analysis_result"], part["returned_units"]) == ("DISAGREED", 0)


@pytest.mark.checklist("X42")
async def test_a_contest_taken_back_has_no_result(shop: Shop) -> None:
    await shop.funds("100.00")
    await contested(shop)
    await resolved(shop, InfractionState.CANCELLED)
    assert ((await infraction(shop)).status, (await shop.documents())[-1]["med"]["analysis_result"]) == (
        "CANCELLED",
        None,
    )
    assert await shop.books() == {"bank": -10_000, "available": 10_000}


@pytest.mark.checklist("X42", "L20")
async def test_a_block_larger_than_the_balance_is_filled_up_by_what_comes_in(shop: Shop) -> None:
    await shop.funds("30.00")
    sent = await shop.sends("25.00")
    await contested(shop, 3_000)
    assert await shop.books() == {"bank": -3_000, "held": 3_000}  # 25 of the payout, 5 of the block
    await shop.funds("10.00")
    assert await shop.books() == {"bank": -4_000, "held": 4_000}
    with pytest.raises(Refused, match="Insufficient balance"):
        await shop.sends("0.01")

    await shop.pays_out()
    shop.payout_bank.fails(sent.id, "account_closed", "AC06")
    await shop.pays_out(after_us=3_000_000)
    await flow.top_up_due(shop.tools)
    assert (await infraction(shop)).blocked.units == 300_000
    assert await shop.books() == {"bank": -4_000, "available": 1_000, "held": 3_000}


@pytest.mark.checklist("X42")
async def test_an_accepted_contest_returns_the_block_first(shop: Shop) -> None:
    await shop.funds("100.00")
    said = await contested(shop, 3_000)
    await resolved(shop, InfractionState.ACCEPTED)
    await goes_back(shop, said, 1_000)
    assert (await infraction(shop)).state is State.ACCEPTED
    assert await shop.books() == {"bank": -9_000, "available": 7_000, "held": 2_000}

    await goes_back(shop, said, 2_000)
    assert (await infraction(shop)).state is State.RETURNED
    assert await shop.books() == {"bank": -7_000, "available": 7_000}
    assert await told(shop) == OPENED + CLOSED
    assert (await shop.documents())[-1]["med"]["returned_units"] == 300_000


@pytest.mark.checklist("X42")
async def test_what_is_not_returned_within_ninety_days_is_released(shop: Shop) -> None:
    await shop.funds("100.00")
    said = await contested(shop, 3_000)
    await resolved(shop, InfractionState.ACCEPTED)
    await goes_back(shop, said, 1_000)
    shop.passes(90 * DAY)
    await flow.work_due(shop.tools)
    assert (await infraction(shop)).state is State.RETURNED
    assert await shop.books() == {"bank": -9_000, "available": 9_000}
    assert (await shop.documents())[-1]["med"]["returned_units"] == 100_000


@pytest.mark.checklist("X42", "L20", "L16")
async def test_a_return_nobody_announced_is_booked_and_may_leave_a_debt(shop: Shop) -> None:
    await shop.funds("30.00")
    e2e_id = (await shop.rows("select ref from receipt"))[0]["ref"]
    await shop.sends("20.00")
    said = ProviderInfraction("-", e2e_id, InfractionState.OPEN, "", "REFUND_REQUEST", 3_000, None, shop.clock.now())
    await goes_back(shop, said, 3_000)
    assert await shop.books() == {"available": -2_000, "held": 2_000}
    assert await told(shop) == ["dispute.created pix.refund.requested", "dispute.resolved pix.refund.completed"]
    with pytest.raises(Refused, match="Insufficient balance"):
        await shop.sends("0.01")
    await shop.funds("25.00")
    await shop.sends("5.00")


@pytest.mark.checklist("X43")
async def test_a_defence_is_taken_once_before_the_deadline_and_handed_on(shop: Shop) -> None:
    await shop.funds("100.00")
    await contested(shop)
    med = await infraction(shop)
    owner, ids = shop.merchant.owner, shop.scene.ids

    async def defend() -> Infraction:
        now = shop.clock.now()
        return await shop.db.write(
            lambda tx: service.defend(tx, med.id, "Delivered.", [{"url": "https://x"}], owner=owner, ids=ids, now=now)
        )

    assert (await defend()).state is State.DEFENDED
    with pytest.raises(Refused, match="Defense was already submitted"):
        await defend()
    await flow.work_due(shop.tools)
    assert shop.payout_bank.defenses == [(REF, "Delivered.")]
    assert (await told(shop))[-1] == "infraction.defense_submitted pix.infraction.defense_submitted"
    await resolved(shop, InfractionState.REJECTED)
    with pytest.raises(Refused, match="MED is already closed"):
        await defend()


@pytest.mark.checklist("X43", "L20")
async def test_nobody_defends_after_the_deadline_and_everybody_is_reminded_before(shop: Shop) -> None:
    await shop.funds("100.00")
    await contested(shop, defense_deadline_at=after(shop.clock.now(), 72 * HOUR))
    med = await infraction(shop)
    for _ in range(7):
        shop.passes(11 * HOUR)
        await flow.work_due(shop.tools)
    assert len(await shop.reviews()) == 3
    now = shop.clock.now()
    with pytest.raises(Refused, match="Defense deadline has passed"):
        await shop.db.write(
            lambda tx: service.defend(tx, med.id, "Late.", [], owner=med.owner, ids=shop.scene.ids, now=now)
        )


async def test_small_contests_are_not_blocked_where_the_operator_says_so(shop: Shop) -> None:
    await shop.allows(block_from_units=500_000)
    await shop.funds("100.00")
    await contested(shop, 3_000)
    assert await shop.books() == {"bank": -10_000, "available": 10_000}


async def test_ids_count_the_contests_of_a_day(shop: Shop) -> None:
    await shop.funds("100.00")
    await contested(shop)
    assert re.fullmatch(r"MED\d{8}001", (await infraction(shop)).id)
