"""Contests heard of, returned and defended by several processes at once (pix-api.md §16.5)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.kernel.clock import DAY, MINUTE, Instant
from opentill.payments.infractions import flow, service
from opentill.payments.infractions.model import Infraction, State
from opentill.payments.pix import service as money
from opentill.pix.port import (
    Evidence,
    InfractionState,
    Nature,
    NotSent,
    Page,
    ProviderInfraction,
    ProviderReturn,
    Refused,
    ReturnState,
)
from tests.fakes.payout_bank import PayoutBank
from tests.usecases.pix.shop import Shop, open_shop

pytestmark = pytest.mark.anyio
PROCESSES = 4
ROUNDS = 8


class Bank(PayoutBank):
    """A bank whose answers to questions about contests a test decides on."""

    since: Instant | None = None
    away = False
    refuses = False

    async def list_infractions(
        self, start: Instant, end: Instant, cursor: str | None = None
    ) -> Page[ProviderInfraction]:
        self.since = start
        if self.away:
            raise NotSent("away")
        return await super().list_infractions(start, end, cursor)

    async def send_defense(self, ref: str, text: str, evidence: Sequence[Evidence]) -> None:
        if self.refuses:
            raise Refused("provider_error", "no")
        await super().send_defense(ref, text, evidence)


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as shop:
        shop.payout_bank = Bank(shop.scene)
        yield shop


def bank_of(shop: Shop) -> Bank:
    assert isinstance(shop.payout_bank, Bank)
    return shop.payout_bank


async def announced(shop: Shop, ref: str = "inf-1", **more: Any) -> ProviderInfraction:
    """Have the bank contest the newest receipt; nobody has listed it yet."""
    said = ProviderInfraction(
        ref=ref,
        e2e_id=shop.last_receipt.e2e_id,
        state=InfractionState.OPEN,
        provider_status="OPEN",
        kind="REFUND_REQUEST",
        amount_centavos=3_000,
        reason="FRAUD",
        opened_at=shop.clock.now(),
    )
    shop.payout_bank.infractions[ref] = replace(said, **more)
    return shop.payout_bank.infractions[ref]


async def lists(shop: Shop) -> None:
    shop.passes(10 * MINUTE + 1)
    await flow.list_due(shop.tools)


async def defended(shop: Shop) -> Infraction:
    await shop.funds("100.00")
    await announced(shop)
    await lists(shop)
    [found] = await shop.db.read(lambda tx: service.listed(tx, owner=shop.merchant.owner))
    ids, now = shop.scene.ids, shop.clock.now()
    return await shop.db.write(
        lambda tx: service.defend(tx, found.id, "Delivered.", [], owner=found.owner, ids=ids, now=now)
    )


async def states(shop: Shop) -> list[str]:
    return [row["state"] for row in await shop.rows("select state from pix_infraction order by id")]


async def several_hear(shop: Shop, said: ProviderInfraction) -> None:
    """Have several processes hear of a contest at once."""
    _, account = await shop.hook()
    ids, now = shop.scene.ids, shop.clock.now()
    await at_once(shop, lambda tx: service.hear(tx, account, said, ids=ids, now=now))


async def several_see_it_back(shop: Shop, number: int) -> None:
    """Have several processes read at once that the newest receipt went back."""
    _, account = await shop.hook()
    came = ProviderReturn(f"r{number}", f"D{number}", 3_000, ReturnState.COMPLETED, Nature.MED_FRAUD)
    arrived = replace(shop.last_receipt, returns=(came,))
    ids, keyring, now = shop.scene.ids, shop.scene.keyring, shop.clock.now()
    await at_once(shop, lambda tx: money.note_returns(tx, account, arrived, ids=ids, keyring=keyring, now=now))


async def at_once(shop: Shop, work: Callable[[Tx], object]) -> None:
    await asyncio.gather(*(shop.db.write(work) for _ in range(PROCESSES)))


async def test_a_return_that_several_hear_of_at_once_is_one(shop: Shop) -> None:
    for number in range(ROUNDS):
        await shop.funds("30.00")
        said = await announced(shop, f"inf-{number}")
        await several_hear(shop, said)
        await several_see_it_back(shop, number)

    assert await states(shop) == [State.RETURNED] * ROUNDS
    assert len(await shop.rows("select id from pix_infraction_return")) == ROUNDS
    assert (await shop.events()).count("dispute.created pix.refund.requested") == ROUNDS
    assert await shop.books() == {}


async def test_a_return_nobody_announced_is_one_contest_however_many_hear_of_it(shop: Shop) -> None:
    for number in range(ROUNDS):
        await shop.funds("30.00")
        await several_see_it_back(shop, number)

    assert await states(shop) == [State.RETURNED] * ROUNDS
    assert await shop.books() == {}


async def test_of_several_workers_one_hands_a_defence_on(shop: Shop) -> None:
    await defended(shop)

    await asyncio.gather(*(flow.work_due(shop.another_worker()) for _ in range(PROCESSES)))

    assert len(shop.payout_bank.defenses) == 1
    assert await shop.reviews() == []


@pytest.mark.parametrize(("arrived", "task"), [(True, "sent"), (False, "by hand")])
async def test_a_refused_defence_is_sent_if_the_bank_has_it(shop: Shop, arrived: bool, task: str) -> None:
    await defended(shop)
    bank = bank_of(shop)
    bank.refuses = True
    if arrived:  # it was sent by one who died before saying so
        bank.infractions["inf-1"] = replace(bank.infractions["inf-1"], state=InfractionState.DEFENDED)

    await flow.work_due(shop.tools)

    assert (await shop.rows("select task from pix_infraction"))[0]["task"] == task
    assert len(await shop.reviews()) == (not arrived)


async def test_a_contest_that_cannot_be_booked_keeps_no_other_waiting(shop: Shop) -> None:
    await shop.funds("100.00")
    await announced(shop, "inf-1", amount_centavos=0)
    await announced(shop, "inf-2")

    with pytest.raises(ExceptionGroup):
        await lists(shop)

    assert [row["ref"] for row in await shop.rows("select ref from pix_infraction")] == ["inf-2"]
    assert await flow.list_due(shop.tools) == 0


async def test_what_was_contested_while_nobody_listened_is_still_listed(shop: Shop) -> None:
    await lists(shop)
    last = shop.clock.now()
    shop.passes(20 * DAY)
    bank_of(shop).away = True
    await lists(shop)
    assert bank_of(shop).since == last - 7 * DAY
    bank_of(shop).away = False
    await shop.funds("100.00")
    await announced(shop)
    await lists(shop)
    assert await states(shop) == [State.OPEN]


async def test_a_contest_of_a_stranger_calls_a_person_once(shop: Shop) -> None:
    await shop.funds("100.00")
    await announced(shop, e2e_id="E99999002202603071530unknown0001")
    for _ in range(3):
        await lists(shop)
        await shop.run("update review_item set resolved_at = 1, resolution = 'settled'")
    assert await shop.reviews() == ["contest of a receipt we do not know"]
