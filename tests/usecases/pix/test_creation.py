"""Creating a charge while the bank is in doubt, away, or faster than its own answer (pix-rail.md §5, §6.8, §6.10)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from opentill.db import Tx
from opentill.kernel.clock import MINUTE, SECOND
from opentill.kernel.errors import Busy, Refused
from opentill.payments import flow
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import flow as pix_flow
from opentill.pix.documents import cnpj_of
from opentill.pix.model import Charge, State
from opentill.pix.static import is_static
from tests.usecases.pix.shop import Died, Shop, die

CREATED = "payment.pending pix.charge.created"
PAID = "payment.completed pix.charge.paid"


async def test_a_creation_in_doubt_that_was_carried_out_is_read_back(shop: Shop) -> None:
    await shop.fault("charge.create", "timeout_after")

    charge = await shop.charges()

    assert charge.state is State.ACTIVE
    assert charge.code
    assert await shop.events() == [CREATED]


async def test_a_creation_in_doubt_that_was_not_carried_out_is_sent_again_under_the_same_id(shop: Shop) -> None:
    await shop.fault("charge.create", "timeout_before")

    charge = await shop.charges()

    assert charge.state is State.ACTIVE
    assert await shop.bank_state(charge) == "ATIVA"
    assert await shop.events() == [CREATED]


async def test_what_is_read_back_must_be_what_was_asked_for(shop: Shop) -> None:
    await shop.fault("charge.create", "timeout_after")
    await shop.fault("charge.read", "wrong_amount")

    with pytest.raises(Refused) as refused:
        await shop.charges()

    assert refused.value.code == "PROVIDER_REFUSED"
    await shop.looks()
    [charge] = await kept(shop)
    assert charge.state is State.REJECTED
    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert await shop.events() == []


async def test_a_charge_nobody_can_pay_because_it_has_no_code_is_not_announced(shop: Shop) -> None:
    shop.changed["create_charge"] = lambda made: replace(made, code=None, location=None)

    with pytest.raises(Refused) as refused:
        await shop.charges()

    assert refused.value.code == "PROVIDER_REFUSED"
    await shop.looks()
    [charge] = await kept(shop)
    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert await shop.events() == []


async def test_a_code_is_built_around_the_location_of_a_bank_that_sends_none(shop: Shop) -> None:
    shop.changed["create_charge"] = lambda made: replace(made, code=None)

    charge = await shop.charges()

    assert charge.code is not None
    assert "Loja Azul" in charge.code


async def test_c3_a_refused_charge_ends_as_quietly_as_it_began(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        await shop.charges("100.09")

    assert refused.value.code == "PROVIDER_REFUSED"
    [charge] = await kept(shop)
    assert charge.state is State.REJECTED
    assert (await shop.payment_of(charge)).status is PaymentStatus.FAILED
    assert await shop.events() == []


@pytest.mark.checklist("L16")
async def test_money_before_the_answer_waits_for_the_charge_to_be_made(shop: Shop) -> None:
    async def is_told_first() -> None:
        [charge] = await kept(shop)
        await shop.payer_pays(charge)
        await shop.is_told()

    shop.after["create_charge"] = is_told_first

    charge = await shop.charges()
    assert charge.code

    shop.passes(10 * SECOND)
    await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.events() == [CREATED, PAID]
    assert (await shop.documents())[1]["charge"]["qr_code"] == charge.code


async def test_money_before_the_answer_is_not_lost_on_a_sweep(shop: Shop) -> None:
    shop.after["create_charge"] = die
    with pytest.raises(Died):
        await shop.charges()
    await shop.starts_again()
    [charge] = await kept(shop)
    await shop.payer_pays(charge, notify="never")

    await shop.sweeps()
    assert await shop.books() == {}  # nobody has been told of the charge yet

    for _ in range(30):
        shop.passes(MINUTE)
        await shop.looks()
        await pix_flow.confirm_due_hints(shop.tools)
        await pix_flow.sweep(shop.tools)
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_charge_whose_process_died_is_gone_on_with_by_the_repeat(shop: Shop) -> None:
    chosen: list[str] = []
    shop.after["create_charge"] = die
    with pytest.raises(Died):
        await shop.charges(claim=first_of(chosen))
    await shop.starts_again()

    charge = await shop.charges(claim=first_of(chosen))

    assert charge.id == chosen[0]
    assert charge.state is State.ACTIVE
    assert await shop.events() == [CREATED]
    assert len(await kept(shop)) == 1
    assert [made["executions"] for made in (await shop.bank_books())["charges"]] == [1], "sent again without a read"


async def test_a_bank_that_takes_too_long_keeps_nobody_waiting_and_its_charge_is_gone_on_with(shop: Shop) -> None:
    chosen: list[str] = []

    async def takes_its_time() -> None:
        await asyncio.sleep(5)

    shop.after["create_charge"] = takes_its_time
    with pytest.raises(Busy) as busy:
        await shop.charges(claim=first_of(chosen), within_s=0.2)
    assert busy.value.code == "PROVIDER_UNAVAILABLE"

    charge = await shop.charges(claim=first_of(chosen))
    assert charge.id == chosen[0]
    assert await shop.events() == [CREATED]


async def test_c3_an_abandoned_charge_is_removed_at_the_bank_after_ten_minutes(shop: Shop) -> None:
    charge = await lost_charge(shop)

    shop.passes(10 * MINUTE - 1)
    await shop.looks()
    assert await shop.bank_state(charge) == "ATIVA"

    shop.passes(1)
    await shop.looks()
    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert await shop.state(charge) is State.REJECTED
    assert (await shop.payment_of(charge)).status is PaymentStatus.FAILED
    assert await shop.events() == []


async def test_an_abandoned_charge_is_removed_once_its_bank_is_back(shop: Shop) -> None:
    charge = await lost_charge(shop)
    await shop.fault("charge.cancel", "http_503", count=3)

    for _ in range(8):
        shop.passes(5 * MINUTE)
        await shop.looks()

    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert await shop.state(charge) is State.REJECTED


async def test_a_request_that_comes_again_keeps_its_charge_from_being_given_up(shop: Shop) -> None:
    chosen: list[str] = []
    charge = await lost_charge(shop, claim=first_of(chosen))
    shop.passes(10 * MINUTE)

    async def gives_up() -> None:
        await shop.looks()

    shop.before["create_charge"] = gives_up
    again = await shop.charges(claim=first_of(chosen))

    assert again.id == charge.id
    assert await shop.state(charge) is State.ACTIVE
    assert await shop.bank_state(charge) == "ATIVA"


async def test_what_was_made_meanwhile_is_not_made_undone_by_a_look_that_began_before(shop: Shop) -> None:
    chosen: list[str] = []
    charge = await lost_charge(shop, claim=first_of(chosen))
    shop.passes(10 * MINUTE)

    async def request_comes_again() -> None:
        try:
            await shop.charges(claim=first_of(chosen))
        except Busy:  # given up a moment before: the next one makes another
            assert await shop.state(charge) is State.REJECTED

    await shop.fault("charge.read", "http_503")
    shop.before["get_charge"] = request_comes_again
    await shop.looks()

    assert await shop.state(charge) in (State.ACTIVE, State.REJECTED)
    shop.passes(2 * MINUTE)
    await shop.looks()
    told = CREATED in await shop.events()
    assert await shop.state(charge) is (State.ACTIVE if told else State.REJECTED)
    assert await shop.bank_state(charge) == ("ATIVA" if told else "REMOVIDA_PELO_USUARIO_RECEBEDOR")


async def test_a_request_after_its_charge_was_given_up_says_so_and_the_next_makes_another(shop: Shop) -> None:
    chosen: list[str] = []
    await lost_charge(shop, claim=first_of(chosen))
    shop.passes(11 * MINUTE)
    await shop.looks()

    finished: list[Charge] = []
    with pytest.raises(Busy) as busy:
        await shop.charges(claim=first_of(chosen), finish=lambda _tx, charge: finished.append(charge))

    assert busy.value.code == "PROVIDER_REFUSED"  # which frees the id chosen under the key
    assert finished == []


async def test_a_charge_given_up_while_it_was_made_is_not_announced_and_is_removed(shop: Shop) -> None:
    await shop.fault("charge.create", "timeout_before")

    async def is_given_up() -> None:
        shop.passes(11 * MINUTE)
        await shop.looks()

    shop.before["get_charge"] = is_given_up
    with pytest.raises(Refused):
        await shop.charges()

    shop.passes(2 * MINUTE)
    await shop.looks()
    [charge] = await kept(shop)
    assert charge.state is State.REJECTED
    assert await shop.bank_state(charge) != "ATIVA"
    assert await shop.events() == []


async def test_money_on_a_charge_that_was_given_up_is_the_merchants_all_the_same(shop: Shop) -> None:
    charge = await lost_charge(shop)
    shop.passes(9 * MINUTE)
    await shop.payer_pays(charge, notify="never")

    shop.passes(2 * MINUTE)
    await shop.looks()
    await shop.sweeps()

    assert await shop.state(charge) is State.REJECTED
    assert await shop.receipts() == [("direct", "booked", 3_000)]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_code_made_for_a_payment_that_was_cancelled_meanwhile_is_removed(shop: Shop) -> None:
    payment = await shop.orders()

    async def is_cancelled() -> None:
        await flow.cancel(shop.tools, payment.token)

    shop.after["create_charge"] = is_cancelled
    with pytest.raises(Refused):
        await shop.chooses_pix(payment)

    shop.passes(2 * SECOND)
    await shop.looks()
    [charge] = await kept(shop)
    assert charge.state is State.REJECTED
    assert await shop.bank_state(charge) == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert await shop.events() == ["payment.pending", "payment.processing", "payment.cancelled"]


async def test_a_payer_who_asks_twice_at_once_gets_one_code(shop: Shop) -> None:
    payment = await shop.orders()

    first, second = await asyncio.gather(shop.chooses_pix(payment), shop.chooses_pix(payment))

    assert first.id == second.id
    assert (await shop.events()).count("charge.created pix.charge.created") == 1


async def test_a_payment_whose_code_the_bank_refused_cannot_be_paid_so_but_otherwise(shop: Shop) -> None:
    payment = await shop.orders("100.09")
    for _ in range(2):
        with pytest.raises(Refused):
            await shop.chooses_pix(payment)

    paid = await shop.pays_by_card(payment)

    assert paid.status is PaymentStatus.COMPLETED


async def lost_charge(shop: Shop, **more: Any) -> Charge:
    """Return a charge the bank has made and whose process died before it was told."""
    shop.after["create_charge"] = die
    with pytest.raises(Died):
        await shop.charges(**more)
    await shop.starts_again()
    return (await kept(shop))[-1]


async def kept(shop: Shop) -> list[Charge]:
    return [await shop.found_id(row["id"]) for row in await shop.rows("select id from pix_charge order by created_at")]


def first_of(chosen: list[str]) -> Any:
    """Return what an idempotency key does: the first id that was proposed stands."""

    def claim(tx: Tx, proposed: str, look: Callable[[Tx], Any]) -> tuple[str, Any]:
        if not chosen:
            chosen.append(proposed)
        return chosen[0], look(tx)

    return claim


async def test_a_charge_keeps_to_the_limits_the_operator_set(shop: Shop) -> None:
    await shop.allows(charge_min_units=100_000, charge_max_units=500_000)

    for amount in ("9.99", "50.01"):
        with pytest.raises(Refused, match="Transaction limit exceeded"):
            await shop.charges(amount)
    payment = await shop.orders("50.01")
    with pytest.raises(Refused, match="Transaction limit exceeded"):
        await shop.chooses_pix(payment)

    assert await kept(shop) == []
    assert [(await shop.charges(amount)).amount.units for amount in ("10.00", "50.00")] == [100_000, 500_000]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_bank_that_does_not_grant_us_charges_leaves_the_first_one_to_a_static_code(
    shop: Shop, begun: bool
) -> None:
    await shop.sim(
        "accounts",
        {
            "client_id": "shop",
            "client_secret": "shop-secret",
            "document": cnpj_of("112223330001"),
            "name": "Loja Azul",
            "city": "SAO PAULO",
            "scopes": ["pix.read", "pix.write", "webhook.read", "webhook.write"],
        },
    )
    await shop.starts_again()  # what a bank grants is known with its first token
    intended: list[str] = []

    def claim(tx: Tx, proposed: str, look: Callable[[Tx], Any]) -> tuple[str, Any]:
        intended.append(proposed)
        return intended[0], look(tx)

    if begun:
        shop.before["create_charge"] = shop.before["get_charge"] = die
        with pytest.raises(Died):
            await shop.charges(claim=claim)
        await shop.starts_again()

    charge = await shop.charges(claim=claim)

    assert is_static(charge)
    assert charge.id == intended[0]
    assert await shop.events() == [CREATED]
