"""A payer pays in the moment in which a charge expires or is cancelled: it is paid or not, never both (X28).

Each schedule has its own order of deeds. Some happen side by side, and some while others are on the way to the bank or
back. Between them somebody looks at charge, payment and money together.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from opentill.db import Database
from opentill.kernel.clock import MINUTE, SECOND
from opentill.kernel.errors import Busy, Conflict, Refused
from opentill.payments import flow
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import flow as pix_flow
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import Charge, State
from tests.usecases.pix.shop import Shop, open_shop

AT_ONCE: Final = 5  # schedules that race side by side
TOGETHER_MAX: Final = 12  # deeds
LIFETIME_S: Final = 60
TURNS_MAX: Final = (
    200  # of the loop, before a deed and on the way to the bank and back: some calls of the database long
)
CREATED, PAID, EXPIRED, CANCELLED = (f"pix.charge.{end}" for end in ("created", "paid", "expired", "cancelled"))
UNPAID: Final = ([CREATED, EXPIRED], [CREATED, CANCELLED])
LATE: Final = ([CREATED, EXPIRED, PAID], [CREATED, CANCELLED, PAID])


@dataclass
class Race:
    """One charge, and what its payer and its merchant were told."""

    charge: Charge
    token: str
    forced: bool = False  # the money arrives even where the bank would take none any more
    paid: list[str] = field(default_factory=list)  # end-to-end ids
    refused: bool = False
    cancelled: bool = False


@pytest.mark.checklist("X28")
@pytest.mark.bar("C8", gate=1_000, target=5_000, quick=60)
async def test_a_charge_is_paid_or_over_never_both(
    database: Database, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    ends: Counter[str] = Counter()
    async with open_shop(database, tmp_path, seed=bar_seed % 10_000) as shop:
        for number in range(0, bar_size, AT_ONCE):
            chance = Random(bar_seed + number)
            races = await entered(shop, chance, min(AT_ONCE, bar_size - number))
            await run(shop, races, chance)
            await settle(shop)
            for race in races:
                ends[await checked(shop, race)] += 1
        await shop.books()
    bar_note(f"{bar_size} schedules: " + ", ".join(f"{count} {end}" for end, count in sorted(ends.items())))
    assert {end for end in ends if end in ("paid", "expired", "cancelled")} == {"paid", "expired", "cancelled"}


async def entered(shop: Shop, chance: Random, count: int) -> list[Race]:
    """Make charges that end together, half of them at the checkout, of payments whose time is over then as well."""
    ordered = [await shop.orders() for _ in range(count // 2)]
    shop.passes(ordered[0].expires_at - shop.clock.now() - LIFETIME_S * SECOND)
    charges = [await shop.charges(expires_in_s=LIFETIME_S) for _ in range(count - len(ordered))]
    races = [Race(charge, (await shop.payment_of(charge)).token) for charge in charges]
    races += [Race(await shop.chooses_pix(payment), payment.token) for payment in ordered]
    for race in races:
        race.forced = chance.random() < 0.2
    return races


async def run(shop: Shop, races: list[Race], chance: Random) -> None:
    """Have everything happen at once, from a second before the charges' last instant on."""
    shop.passes(races[0].charge.expires_at - shop.clock.now() - SECOND)
    deeds: list[Callable[[], Awaitable[object]]] = []
    for race in races:
        if chance.random() < 0.8:
            deeds.append(partial(pays, shop, race, copies=chance.choice((0, 0, 1, 2))))
        if chance.random() < 0.5:
            deeds.append(partial(cancels, shop, race, by_payer=chance.random() < 0.5))
    workers = (shop.tools, shop.another_worker())
    for _ in races:
        turn = chance.choice((pix_flow.look_at_due, pix_flow.confirm_due_hints, pix_flow.sweep, flow.expire_due))
        deeds += [partial(turn, chance.choice(workers)), shop.rings, partial(all_agree, shop)]
        deeds.append(partial(time_passes, shop, chance.randrange(SECOND)))
    chance.shuffle(deeds)

    async def meanwhile() -> None:
        while deeds and chance.random() < 0.4:
            await deeds.pop()()

    shop.pause = meanwhile
    while deeds:
        number = chance.randint(1, TOGETHER_MAX)
        together, deeds[:number] = deeds[:number], []
        await asyncio.gather(*(deed() for deed in together))


async def pays(shop: Shop, race: Race, *, copies: int) -> None:
    try:
        race.paid += await shop.bank.pay(provider_txid(race.charge.id), copies=copies, force=race.forced)
    except Refused:
        race.refused = True


async def cancels(shop: Shop, race: Race, *, by_payer: bool) -> None:
    """Cancel, and note whether that is what one was told."""
    try:
        if by_payer:
            race.cancelled = (await flow.cancel(shop.tools, race.token)).status is PaymentStatus.CANCELLED
        else:
            await pix_flow.cancel_by_id(shop.tools, race.charge.id, owner=race.charge.owner)
            race.cancelled = True
    except (Busy, Conflict):
        return


async def time_passes(shop: Shop, microseconds: int) -> None:
    shop.passes(microseconds)


async def all_agree(shop: Shop) -> None:
    """Look at every charge with its payment and its money: they are paid together or not at all."""
    rows = await shop.rows(
        """
        select c.id, c.state = 'completed' as charge, p.status = 'completed' as payment,
               exists (select 1 from receipt r
                        where r.charge_id = c.id and r.state = 'booked' and r.origin = 'charge') as money
          from pix_charge c join payment p on p.id = c.payment_id
         where c.updated_at >= :since
        """,
        since=shop.clock.now() - 10 * MINUTE,
    )
    assert [row["id"] for row in rows if not bool(row["charge"]) == bool(row["payment"]) == bool(row["money"])] == []


async def settle(shop: Shop) -> None:
    """Let time pass until everything is known: the sweep was there, the last looks were had."""
    for wait in (SECOND, MINUTE, 4 * MINUTE, 16 * MINUTE, 16 * MINUTE):
        shop.passes(wait)
        await shop.rings()
        await pix_flow.confirm_due_hints(shop.tools)
        await pix_flow.look_at_due(shop.tools)
        await pix_flow.sweep(shop.tools)
        await flow.expire_due(shop.tools)
    await all_agree(shop)


async def checked(shop: Shop, race: Race) -> str:
    """Check how a race ended against what really happened at the bank; return its end in a word."""
    charge, payment = await shop.found(race.charge), await shop.payment_of(race.charge)
    events = await shop.rows(
        "select pix_type from event where object_id = :uuid and pix_type is not null order by seq", uuid=payment.uuid
    )
    told = [row["pix_type"] for row in events]
    refs = await shop.rows("select ref, origin, state from receipt where charge_id = :id", id=charge.id)
    assert [(row["ref"], row["origin"], row["state"]) for row in refs] == [
        (e2e_id, "charge", "booked") for e2e_id in race.paid
    ]
    if not race.paid:
        assert told in UNPAID, (told, race)
        assert charge.state in (State.EXPIRED, State.CANCELLED)
        assert payment.status.value == charge.state.value
        assert not race.cancelled or charge.state is State.CANCELLED, race
        return charge.state.value
    assert (charge.state, payment.status) == (State.COMPLETED, PaymentStatus.COMPLETED)
    assert payment.late == (told in LATE)
    assert told == [CREATED, PAID] or (race.forced and told in LATE), (told, race)
    assert not race.cancelled or race.forced, f"cancelled and paid: {race}"
    return "paid late" if payment.late else "paid"
