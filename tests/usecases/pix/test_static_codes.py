"""Charges at a bank that makes none: their codes are ours, and so is that they are paid once and in time (§12.1)."""

from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.errors import Busy, Conflict
from opentill.payments import flow
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import flow as pix_flow
from opentill.pix.brcode import Kind, parse
from opentill.pix.model import Charge, State
from opentill.settings import Settings
from tests.usecases.pix.shop import KEY, Shop, open_shop

pytestmark = pytest.mark.anyio
CREATED, PAID = "payment.pending pix.charge.created", "payment.completed pix.charge.paid"


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop whose bank offers no charges."""
    own = Settings(data=tmp_path).bank_profiles
    own.mkdir(parents=True)
    offered = (files("opentill.pix") / "profiles" / "sandbox.toml").read_text("utf-8")
    (own / "sandbox.toml").write_text(f"features = {{ cob = false }}\n{offered}")
    async with open_shop(database, tmp_path) as shop:
        yield shop


async def scanned(shop: Shop, charge: Charge, **order: object) -> list[str]:
    """Have somebody pay what is in a charge's code."""
    return await shop.sim("pay", {"code": charge.code} | order)  # type: ignore[no-any-return]


async def test_the_code_pays_the_key_and_carries_the_charge_as_its_label(shop: Shop) -> None:
    charge = await shop.charges("30.00", city="Natal")
    code = parse(charge.code or "")
    assert (code.kind, code.key, code.amount_centavos, code.txid) == (Kind.STATIC, KEY, 3_000, charge.id)
    assert code.city == "Natal"
    assert (await shop.bank_books())["charges"] == []
    assert await shop.events() == [CREATED]


@pytest.mark.checklist("X29")
async def test_a_static_code_is_paid_as_a_dynamic_one_is(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await scanned(shop, charge)
    await shop.is_told()
    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.payment_of(charge)).status is PaymentStatus.COMPLETED
    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.events() == [CREATED, PAID]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


@pytest.mark.checklist("X29")
async def test_a_name_of_the_money_in_another_case_is_other_money(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    for name in ("E99999002202603071530abcdef12345", "E99999002202603071530ABCDEF12345"):
        await scanned(shop, charge, e2e_id=name)
    await shop.is_told()
    await shop.sweeps()
    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]


@pytest.mark.checklist("X29")
async def test_of_equal_charges_the_label_says_which_was_paid(shop: Shop) -> None:
    first, second = await shop.charges("30.00"), await shop.charges("30.00")
    await scanned(shop, second)
    await shop.pays_key(KEY, 3_000, label="nobodysorder")
    await shop.is_told()
    assert [await shop.state(each) for each in (first, second)] == [State.ACTIVE, State.COMPLETED]
    assert sorted(await shop.receipts()) == [("charge", "booked", 3_000), ("direct", "booked", 3_000)]


@pytest.mark.checklist("L16")
async def test_a_code_that_is_paid_twice_completes_once(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await scanned(shop, charge, count=2)
    await shop.is_told()
    await shop.sweeps()
    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]
    assert (await shop.events()).count(PAID) == 1


async def test_its_time_is_over_once_everything_until_then_was_swept(shop: Shop) -> None:
    in_time, unpaid = await shop.charges(expires_in_s=60), await shop.charges(expires_in_s=60)
    shop.passes(59 * SECOND)
    await scanned(shop, in_time, copies=0)
    shop.passes(2 * SECOND)
    await shop.looks()
    assert await shop.state(unpaid) is State.ACTIVE  # nobody has read yet what came in its last seconds

    await shop.sweeps()
    await shop.looks()
    assert [await shop.state(each) for each in (in_time, unpaid)] == [State.COMPLETED, State.EXPIRED]
    assert (await shop.payment_of(in_time)).late is False


async def test_a_bank_that_lists_nothing_keeps_a_code_alive_for_an_hour_at_most(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    await shop.fault("sweep.read", "http_503", count=1_000)
    await shop.sweeps()
    await shop.looks()
    assert await shop.state(charge) is State.ACTIVE
    shop.passes(HOUR)
    await shop.looks()
    assert await shop.state(charge) is State.EXPIRED

    await shop.sim_delete("faults")
    await scanned(shop, charge)  # nothing at the bank keeps a payer from it
    await shop.is_told()
    assert (await shop.payment_of(charge)).late is True
    assert (await shop.events())[-1] == PAID


async def test_it_is_cancelled_after_a_look_at_what_came(shop: Shop) -> None:
    free, paid = await shop.charges(), await shop.charges()
    await scanned(shop, paid, copies=0)
    shop.passes(MINUTE)
    assert (await pix_flow.cancel_by_id(shop.tools, free.id, owner=free.owner)).state is State.CANCELLED
    with pytest.raises(Conflict):
        await pix_flow.cancel_by_id(shop.tools, paid.id, owner=paid.owner)
    assert await shop.state(paid) is State.COMPLETED
    assert (await shop.events())[2:] == [PAID, "payment.cancelled pix.charge.cancelled"]


async def test_it_is_not_cancelled_while_nobody_knows_what_came(shop: Shop) -> None:
    unread, announced = await shop.charges(), await shop.charges()
    await shop.fault("sweep.read", "http_503")
    with pytest.raises(Busy):
        await pix_flow.cancel_by_id(shop.tools, unread.id, owner=unread.owner)
    await shop.hears({"endToEndId": "E99999002202603071530abcdef12345", "txid": announced.id, "valor": "30.00"})
    with pytest.raises(Busy):
        await pix_flow.cancel_by_id(shop.tools, announced.id, owner=announced.owner)
    assert [await shop.state(each) for each in (unread, announced)] == [State.ACTIVE, State.PAYING]


async def test_a_payer_may_leave_the_code_and_pay_by_card(shop: Shop) -> None:
    payment = await shop.orders()
    charge = await shop.chooses_pix(payment)
    assert parse(charge.code or "").txid == charge.id
    paid = await shop.pays_by_card(payment)
    assert paid.status is PaymentStatus.COMPLETED
    shop.passes(HOUR)
    await shop.sweeps()
    await shop.looks()
    await flow.expire_due(shop.tools)
    assert await shop.state(charge) is State.EXPIRED
    await shop.books()


async def test_a_code_that_was_never_stored_leaves_nothing_to_ask_the_bank_for(shop: Shop) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        await shop.charges(finish=fails)
    shop.passes(11 * MINUTE)
    await shop.looks()
    left = await shop.rows("select state, next_check_at from pix_charge")
    assert [(row["state"], row["next_check_at"]) for row in left] == [("rejected", None)]
    assert await shop.events() == []
