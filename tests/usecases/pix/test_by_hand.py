"""Money a person saw arrive over PIX and what its bank tells of it: one receipt, whoever is first."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.errors import Conflict
from opentill.kernel.money import Money
from opentill.merchants import gateways
from opentill.payments import flow, store
from opentill.payments.model import Detail, Payment, PaymentStatus, Refund, RefundStatus
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix.flow.bank import account_of, book
from opentill.payments.pix.service.money import receipt_of, receive
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.review import decisions, submissions
from opentill.payments.review.decisions import Actor
from opentill.pix import accounts, service
from opentill.pix.keys import detect
from opentill.pix.model import BRL, State
from tests.usecases.pix.shop import KEY, Shop
from tests.usecases.webhooks.test_query_plans import Asked
from tests.waiting import Gate, until_somebody_waits

pytestmark = pytest.mark.anyio
ANA = Actor("ana@example.com", "203.0.113.7", may_override=True)
RAIL_ID = "E99999002202603071530abcdef12345"
ONCE = {"bank": -3_000, "available": 3_000}


async def marks_paid(shop: Shop, payment: Payment, ref: str, *, noted: Gate | None = None) -> Payment:
    """Mark a payment as paid; where it is *noted* at a gate, commit when that opens."""

    def mark(tx: Tx) -> Payment:
        paid = decisions.mark_paid(
            tx,
            payment.id,
            owner=payment.owner,
            by=ANA,
            seen=Money(300_000, BRL),
            ref=ref,
            reason="it is on the account",
            ids=shop.scene.ids,
            keyring=shop.scene.keyring,
            now=shop.clock.now(),
        )
        if noted is not None:
            noted.wait()
        return paid

    return await shop.db.write(mark)


async def submits(shop: Shop, payment: Payment, ref: str) -> None:
    """Have a payer who chose a manual gateway say under which id they paid."""
    tools, owner = shop.tools, payment.owner

    def offer(tx: Tx) -> None:
        gateways.save_manual(tx, "wallet", name="Wallet", settings={}, owner=owner, now=shop.clock.now())

    def submit(tx: Tx) -> None:
        form = {"provider_trx_id": ref, "sender": "+5511"}
        more = {"owner": owner, "ids": tools.ids, "keyring": tools.keyring, "now": shop.clock.now()}
        submissions.submit(tx, payment.id, form, [], **more)

    await shop.db.write(offer)
    await flow.choose_gateway(tools, payment.token, "wallet")
    await shop.db.write(submit)


async def approves(shop: Shop, payment: Payment) -> Payment:
    """Claim and approve what a payer submitted."""
    [item] = await shop.rows("select id from review_item where kind = 'submission' and resolved_at is null")
    who = {"owner": payment.owner, "by": ANA, "keyring": shop.scene.keyring, "now": shop.clock.now()}

    def approve(tx: Tx) -> Payment:
        decisions.claim(tx, item["id"], **who)
        return decisions.approve(tx, item["id"], seen=Money(300_000, BRL), ids=shop.scene.ids, **who)

    return await shop.db.write(approve)


async def hints(shop: Shop) -> None:
    await shop.is_told()


async def sweeps(shop: Shop) -> None:
    await shop.sweeps()


async def looks(shop: Shop) -> None:
    shop.passes(MINUTE)
    await shop.looks()


@pytest.mark.parametrize("tells", [hints, sweeps, looks])
async def test_what_a_person_saw_first_the_bank_tells_of_in_vain(
    shop: Shop, tells: Callable[[Shop], Awaitable[None]]
) -> None:
    charge = await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)

    await marks_paid(shop, await shop.payment_of(charge), ref)
    await tells(shop)
    await tells(shop)

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE
    events = await shop.events()
    assert events.count("payment.completed pix.charge.paid") == 1
    assert "charge.paid pix.charge.paid" not in events


async def test_what_the_bank_told_of_first_a_person_cannot_count_again(shop: Shop) -> None:
    charge, other = await shop.charges("30.00"), await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    await shop.is_told()

    for taken in (charge, other):
        with pytest.raises(Conflict):
            await marks_paid(shop, await shop.payment_of(taken), ref)

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE


@pytest.mark.parametrize("wrong", [str.upper, str.lower, str.swapcase])
async def test_money_the_bank_told_of_is_the_same_to_who_mistakes_its_capitals(
    shop: Shop, wrong: Callable[[str], str]
) -> None:
    charge, other, third = await shop.charges("30.00"), await shop.orders("30.00"), await shop.orders("30.00")
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    await shop.is_told()

    with pytest.raises(Conflict):
        await marks_paid(shop, other, wrong(RAIL_ID))
    await submits(shop, third, wrong(RAIL_ID))
    with pytest.raises(Conflict):
        await approves(shop, third)

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE


@pytest.mark.parametrize("tells", [hints, sweeps, looks])
async def test_what_a_person_noted_in_wrong_capitals_its_bank_tells_of_in_vain(
    shop: Shop, tells: Callable[[Shop], Awaitable[None]]
) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    await marks_paid(shop, await shop.payment_of(charge), RAIL_ID.upper())

    await tells(shop)
    await tells(shop)
    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.reviews() == []
    assert await shop.books() == ONCE

    await shop.sim("returns", {"e2e_id": RAIL_ID, "amount": 1_000, "nature": "ORIGINAL"})
    await sweeps(shop)
    assert await shop.books() == {"bank": -2_000, "available": 2_000}


async def test_money_two_people_saw_counts_once_however_they_write_its_id(shop: Shop) -> None:
    payment, other = await shop.orders("30.00"), await shop.orders("30.00")
    await marks_paid(shop, payment, RAIL_ID.lower())

    with pytest.raises(Conflict):
        await marks_paid(shop, other, RAIL_ID.upper())

    assert [row["ref"] for row in await shop.rows("select ref from receipt")] == [RAIL_ID]
    assert await shop.books() == ONCE


async def test_a_person_and_the_bank_at_once_count_it_once(shop: Shop) -> None:
    for _ in range(20):
        charge = await shop.charges("30.00")
        [ref] = await shop.payer_pays(charge)
        await shop.rings()
        jobs = [marks_paid(shop, await shop.payment_of(charge), ref), pix_flow.confirm_due_hints(shop.tools)]
        met = await asyncio.gather(*jobs, return_exceptions=True)
        assert [fault for fault in met if isinstance(fault, Exception) and not isinstance(fault, Conflict)] == []
        assert await shop.state(charge) is State.COMPLETED

    assert await shop.receipts() == [("charge", "booked", 3_000)] * 20
    assert await shop.books() == {"bank": -60_000, "available": 60_000}


async def test_what_the_bank_tells_of_while_a_person_notes_it_in_wrong_capitals_counts_once(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    await shop.rings()
    noted = Gate()

    marking = asyncio.create_task(marks_paid(shop, await shop.payment_of(charge), RAIL_ID.upper(), noted=noted))
    await noted.reached()
    telling = asyncio.create_task(pix_flow.confirm_due_hints(shop.tools))
    await until_somebody_waits(shop.db)
    noted.open()
    await asyncio.gather(marking, telling)

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE


async def test_what_the_bank_tells_of_while_a_person_notes_it_for_another_payment_counts_once(shop: Shop) -> None:
    charge, other = await shop.charges("30.00"), await shop.orders("30.00")
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    await shop.rings()
    noted = Gate()

    marking = asyncio.create_task(marks_paid(shop, other, RAIL_ID.upper(), noted=noted))
    await noted.reached()
    telling = asyncio.create_task(pix_flow.confirm_due_hints(shop.tools))
    await until_somebody_waits(shop.db)
    noted.open()
    await asyncio.gather(marking, telling)

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.reviews() == ["its money was counted for another payment"]
    assert await shop.books() == ONCE


@pytest.mark.parametrize("charged", [True, False])
async def test_what_a_person_notes_for_another_payment_while_its_bank_tells_of_it_counts_once(
    shop: Shop, charged: bool
) -> None:
    other = await shop.orders("30.00")
    if charged:
        await shop.payer_pays(await shop.charges("30.00"), e2e_id=RAIL_ID)
    else:
        await shop.pays_key(KEY, 3_000, e2e_id=RAIL_ID)
    account = await account_of(shop.tools, shop.account_id)
    told = await shop.tools.receiver(account).get_receipt(RAIL_ID)
    assert told is not None
    booked = Gate()

    def tell(tx: Tx) -> None:
        receive(tx, account, told, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now())
        booked.wait()

    telling = asyncio.create_task(shop.db.write(tell))
    await booked.reached()
    marking = asyncio.create_task(marks_paid(shop, other, RAIL_ID.upper()))
    await until_somebody_waits(shop.db)
    booked.open()
    await telling
    with pytest.raises(Conflict):
        await marking

    assert await shop.receipts() == [("charge" if charged else "direct", "booked", 3_000)]
    assert await shop.books() == ONCE


async def test_what_people_noted_is_found_by_its_letters_however_many_ids_begin_alike(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    account = await account_of(shop.tools, shop.account_id)
    told = await shop.tools.receiver(account).get_receipt(RAIL_ID)
    assert told is not None
    receipt = receipt_of(account, told)
    many = """
        insert into receipt (merchant_id, mode, gateway, account, ref, units, currency, origin, state, payer_ispb,
                             received_at, created_at)
        with recursive n (i) as (select 100000 union all select i + 1 from n where i < 103000)
        select :merchant_id, :mode, 'pix', 'x', :head || cast(i as text), 1, 'BRL', 'direct', 'booked', '99999002', 0, 0
          from n
    """
    await shop.db.write(lambda tx: tx.run(many, **receipt.owner.columns, head=RAIL_ID[:26]))
    if shop.db.dialect == "postgres":
        await shop.db.write(lambda tx: tx.run("analyze receipt"))

    def plan(tx: ReadTx) -> str:
        asked = Asked(tx)
        assert store.counted_receipt(asked, receipt) is None
        return "\n".join(asked.plans)

    assert "receipt_noted" in await shop.db.read(plan)


@pytest.mark.parametrize("person_first", [True, False])
async def test_money_paid_to_a_key_counts_once_for_a_payment_without_a_charge(shop: Shop, person_first: bool) -> None:
    payment = await shop.orders("30.00")
    await shop.pays_key(KEY, 3_000, e2e_id=RAIL_ID)

    if person_first:
        paid = await marks_paid(shop, payment, RAIL_ID)
        assert (paid.status, paid.gateway) == (PaymentStatus.COMPLETED, "pix")
        await shop.sweeps()
    else:
        await shop.sweeps()
        with pytest.raises(Conflict):
            await marks_paid(shop, payment, RAIL_ID)

    assert len(await shop.receipts()) == 1
    assert await shop.books() == ONCE


@pytest.mark.parametrize("person_first", [True, False])
async def test_what_a_payer_submits_by_another_gateway_counts_once_under_the_id_of_its_bank(
    shop: Shop, person_first: bool
) -> None:
    payment = await shop.orders("30.00")
    await shop.pays_key(KEY, 3_000, e2e_id=RAIL_ID)
    await submits(shop, payment, RAIL_ID)

    if person_first:
        assert (await approves(shop, payment)).gateway == "pix"
        await shop.sweeps()
    else:
        await shop.sweeps()
        with pytest.raises(Conflict):
            await approves(shop, payment)

    assert len(await shop.receipts()) == 1
    assert await shop.books() == ONCE


async def test_a_submission_with_the_id_of_a_charge_completes_the_charge(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await shop.payer_pays(charge, e2e_id=RAIL_ID)
    await submits(shop, payment, RAIL_ID)

    await approves(shop, payment)
    await shop.sweeps()

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE
    assert (await shop.events())[-1] == "payment.completed pix.charge.paid"


@pytest.mark.parametrize("tells", [hints, sweeps, looks])
async def test_a_payment_whose_money_a_person_counted_for_another_one_is_shown_once(
    shop: Shop, tells: Callable[[Shop], Awaitable[None]]
) -> None:
    charge, other = await shop.charges("30.00"), await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    await marks_paid(shop, await shop.payment_of(other), ref)

    await tells(shop)
    for again in (hints, sweeps, looks):
        await again(shop)
    await shop.hears_again()
    await shop.is_told()
    shop.passes(2 * HOUR)
    await shop.looks()
    await shop.expires()

    paid_for = await shop.payment_of(charge)
    assert (paid_for.status, paid_for.detail) == (PaymentStatus.PROCESSING, Detail.PENDING_REVIEW)
    assert await shop.reviews() == ["its money was counted for another payment"]
    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == ONCE


@pytest.mark.parametrize("tells", [hints, sweeps, looks])
async def test_a_payment_whose_money_its_bank_first_told_of_without_a_charge_is_shown_once(
    shop: Shop, tells: Callable[[Shop], Awaitable[None]]
) -> None:
    charge = await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    account = await account_of(shop.tools, shop.account_id)
    told = await shop.tools.receiver(account).get_receipt(ref)
    assert told is not None
    await book(shop.tools, account, [replace(told, txid=None)])

    await tells(shop)
    for again in (hints, sweeps, looks):
        await again(shop)

    paid_for = await shop.payment_of(charge)
    assert (paid_for.status, paid_for.detail) == (PaymentStatus.PROCESSING, Detail.PENDING_REVIEW)
    assert await shop.reviews() == ["its money was counted for no payment"]
    assert await shop.receipts() == [("direct", "booked", 3_000)]
    assert await shop.books() == ONCE


async def test_what_a_person_saw_of_money_counted_for_another_payment_is_not_shown_again(shop: Shop) -> None:
    charge, other = await shop.charges("30.00"), await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    await marks_paid(shop, await shop.payment_of(other), ref)
    await sweeps(shop)

    [item] = await shop.rows("select id from review_item")
    who = {"owner": shop.merchant.owner, "by": ANA, "keyring": shop.scene.keyring, "now": shop.clock.now()}

    def reject(tx: Tx) -> None:
        decisions.claim(tx, item["id"], **who)
        decisions.reject(tx, item["id"], final=False, reason="already_used", ids=shop.scene.ids, **who)

    await shop.db.write(reject)
    await sweeps(shop)
    await hints(shop)

    assert (await shop.payment_of(charge)).status is PaymentStatus.PENDING
    assert len(await shop.reviews()) == 1


async def test_money_counted_at_one_account_is_not_counted_at_the_next_one_of_the_same_bank(shop: Shop) -> None:
    """The operator attaches the bank account anew; its bank lists under the new number what came under the old one."""
    charge = await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    await shop.is_told()

    def attach_again(tx: Tx) -> int:
        merchant, now = shop.merchant, shop.clock.now()
        accounts.remove_key(tx, shop.account_id, detect(KEY))
        accounts.pause(tx, shop.account_id)
        number, _ = service.attach_account(
            tx,
            owner=merchant.owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name="Banco Sandbox",
            bank_ispb="99999001",
            credentials={"client_id": "shop", "client_secret": "shop-secret"},
            keys=[detect(KEY)],
            ids=shop.scene.ids,
            keyring=shop.scene.keyring,
            now=now,
        )
        return number

    await shop.db.write(attach_again)
    await shop.sweeps()
    for nature in ("ORIGINAL", "MED_FRAUDE"):
        await shop.sim("returns", {"e2e_id": ref, "amount": 1_000, "nature": nature})
        await shop.sweeps()
        await shop.sweeps()

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.books() == {"bank": -1_000, "available": 1_000}


async def test_what_a_person_saw_goes_back_through_its_bank(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    [ref] = await shop.payer_pays(charge)
    paid = await marks_paid(shop, await shop.payment_of(charge), ref)

    refund = await gives_back(shop, paid)

    assert (refund.gateway, refund.status) == ("pix", RefundStatus.COMPLETED)
    assert await shop.books() == {}


async def test_cash_for_a_pix_payment_is_not_pix_money(shop: Shop) -> None:
    payment = await shop.payment_of(await shop.charges("30.00"))

    paid = await marks_paid(shop, payment, "CASH-1")
    refund = await gives_back(shop, paid)

    assert (paid.gateway, paid.method) == ("manual", "manual")
    assert (refund.gateway, refund.status) == ("manual", RefundStatus.PENDING)
    assert await shop.reviews() == ["a refund is to be sent by hand"]


async def gives_back(shop: Shop, payment: Payment) -> Refund:
    """Give all of a payment back, and wait for what its bank does."""
    wish = refund_flow.Wish(shop.tools.ids.uuid7())
    asked = await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)
    for _ in range(3):
        await shop.asks_about_refunds(after_us=31 * SECOND)
    found = await shop.db.read(
        lambda tx: refund_flow.rows.one(tx, "r.uuid = :uuid", owner=payment.owner, uuid=asked.uuid)
    )
    assert found is not None
    return found
