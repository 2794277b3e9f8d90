"""A payer may open a PIX code and pay by card all the same: what one way leaves behind must not trouble the other."""

from pathlib import Path

import pytest

from opentill.db import Database, Tx
from opentill.gateways.port import UnpaidVerdict, VerdictState
from opentill.kernel.clock import DAY, MINUTE
from opentill.kernel.errors import Conflict, Invalid
from opentill.payments import flow, service
from opentill.payments.model import Contact, Detail, Payment, PaymentStatus, SessionState
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix import service as pix
from opentill.payments.review import decisions, submissions
from opentill.payments.review.decisions import Actor
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import State
from opentill.pix.port import ChargeState
from tests.usecases.checkout.shop import Shop, open_shop
from tests.usecases.checkout.test_manual import offers_wallet

ANA = Actor("ana@example.com", "203.0.113.7")
BIA = Actor("bia@example.com", "203.0.113.8")


async def test_a_code_expires_beside_a_payment_that_waits_for_a_person(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await parked_with_a_code(shop)

    shop.clock.advance(DAY)
    await pix_flow.look_at_due(shop.deps.tools)

    assert await state_of_code(shop, payment) is State.EXPIRED
    assert (await shop.reads(payment)).detail is Detail.PENDING_REVIEW


async def test_a_payment_that_waits_for_a_person_is_not_cancelled_and_neither_is_its_code(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await parked_with_a_code(shop)

    with pytest.raises(Conflict):
        await flow.cancel(shop.deps.tools, payment.token)

    assert [charge.state for charge in shop.bank.charges.values()] == [ChargeState.ACTIVE]
    assert await state_of_code(shop, payment) is State.ACTIVE
    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING


async def test_who_reviews_a_payment_cancels_it_with_its_code(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await submitted_with_a_code(shop)

    await flow.cancel_reviewed(shop.deps.tools, payment, by=ANA, reason="the payer asked")

    assert [charge.state for charge in shop.bank.charges.values()] == [ChargeState.CANCELLED]
    assert await state_of_code(shop, payment) is State.CANCELLED
    assert (await shop.reads(payment)).status is PaymentStatus.CANCELLED


async def test_who_rejects_a_payment_for_good_has_its_code_removed_first(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await submitted_with_a_code(shop)
    item = await claimed(shop, payment)

    with pytest.raises(Conflict, match="code"):
        await rejects_for_good(shop, payment, item)
    await flow.remove_code_of_item(shop.deps.tools, item, owner=payment.owner, by=ANA, reason="not_found")
    await rejects_for_good(shop, payment, item)

    assert [charge.state for charge in shop.bank.charges.values()] == [ChargeState.CANCELLED]
    assert await state_of_code(shop, payment) is State.CANCELLED
    assert (await shop.reads(payment)).status is PaymentStatus.FAILED


@pytest.mark.parametrize(("by", "reason"), [(BIA, "not_found"), (ANA, "because I say so")])
async def test_who_may_not_reject_a_payment_so_leaves_its_code(
    database: Database, tmp_path: Path, by: Actor, reason: str
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await submitted_with_a_code(shop)
    item = await claimed(shop, payment)

    with pytest.raises((Conflict, Invalid)):
        await flow.remove_code_of_item(shop.deps.tools, item, owner=payment.owner, by=by, reason=reason)

    assert [charge.state for charge in shop.bank.charges.values()] == [ChargeState.ACTIVE]


async def test_a_code_that_was_paid_wins_over_who_cancels_the_reviewed_payment(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await submitted_with_a_code(shop)
    [txid] = shop.bank.charges
    await shop.bank.pay(txid)

    with pytest.raises(Conflict):
        await flow.cancel_reviewed(shop.deps.tools, payment, by=ANA, reason="the payer asked")

    paid = await shop.reads(payment)
    assert (paid.status, paid.late) == (PaymentStatus.COMPLETED, False)


async def test_a_reviewed_payment_is_not_cancelled_while_its_code_can_be_paid(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await submitted_with_a_code(shop)
    ids, keyring, now = shop.scene.ids, shop.scene.keyring, shop.clock.now()

    with pytest.raises(Conflict):
        await database.write(
            lambda tx: decisions.cancel(
                tx, payment.id, owner=payment.owner, by=ANA, reason="", ids=ids, keyring=keyring, now=now
            )
        )

    assert (await shop.reads(payment)).under_review


async def test_a_reviewed_payment_whose_money_is_held_is_not_cancelled_and_neither_is_its_code(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await parked_with_a_code(shop)

    with pytest.raises(Conflict, match="Money is held"):
        await flow.cancel_reviewed(shop.deps.tools, payment, by=ANA, reason="the payer asked")

    assert [charge.state for charge in shop.bank.charges.values()] == [ChargeState.ACTIVE]


async def test_a_try_is_declined_late_beside_a_payment_that_waits_for_a_person(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await shop.orders()
    _, _, charge = await flow.choose_gateway(shop.deps.tools, payment.token, "pix")
    assert charge is not None
    await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
    await flow.submit(shop.deps.tools, payment.token, {"outcome": "call_lost"})
    await shop.bank.pay(provider_txid(charge.id), amount_centavos=1)
    await shop.looks_at_the_bank(payment)

    shop.clock.advance(DAY)
    await flow.check_due_sessions(shop.deps.tools)

    assert (await shop.session(payment)).state is SessionState.DECLINED
    assert (await shop.reads(payment)).detail is Detail.PENDING_REVIEW


async def test_of_two_submissions_at_once_the_first_stands(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await shop.orders()
    _, session, _ = await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
    first, second = '{"outcome":"declined","at":0}', '{"outcome":"paid","at":0}'

    noted = [
        await database.write(
            lambda tx, detail=detail: service.note_submission(
                tx, session, detail, keyring=shop.scene.keyring, now=shop.clock.now()
            )
        )
        for detail in (first, second)
    ]

    assert [(seen.detail, was_first) for seen, was_first in noted] == [(first, True), (first, False)]


async def test_an_answer_that_says_nothing_opens_no_session_again(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await shop.orders()
    _, session, _ = await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
    await flow.submit(shop.deps.tools, payment.token, {"outcome": "declined"})
    await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")

    tools, now = shop.deps.tools, shop.clock.now()
    await database.write(
        lambda tx: service.conclude(
            tx, session, UnpaidVerdict(VerdictState.UNKNOWN), ids=tools.ids, keyring=tools.keyring, now=now
        )
    )

    rows = await database.read(lambda tx: tx.all("select state from gateway_session order by id"))
    assert [row["state"] for row in rows] == ["declined", "open"]


async def test_what_cannot_be_looked_at_keeps_nothing_else_waiting(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    damaged, other = await shop.orders(contact=Contact("Ana", "ana@example.com")), await shop.orders()
    for payment in (damaged, other):
        await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
        await flow.submit(shop.deps.tools, payment.token, {"outcome": "answer_lost"})
    await database.write(lambda tx: tx.run("update customer set sealed = 'v1.k1.AAAA'"))

    shop.clock.advance(MINUTE)
    with pytest.raises(ExceptionGroup):
        await flow.check_due_sessions(shop.deps.tools)

    assert (await shop.reads(other)).status is PaymentStatus.COMPLETED


async def parked_with_a_code(shop: Shop) -> Payment:
    """Return a payment whose payer opened a PIX code and then paid less by the sandbox."""
    payment = await shop.orders()
    await flow.choose_gateway(shop.deps.tools, payment.token, "pix")
    await flow.choose_gateway(shop.deps.tools, payment.token, "sandbox")
    return await flow.submit(shop.deps.tools, payment.token, {"outcome": "short"})


async def submitted_with_a_code(shop: Shop) -> Payment:
    """Return a payment whose payer opened a PIX code and then said that they paid by a manual gateway."""
    await offers_wallet(shop)
    payment = await shop.orders()
    await flow.choose_gateway(shop.deps.tools, payment.token, "pix")
    await flow.choose_gateway(shop.deps.tools, payment.token, "wallet")
    form = {"provider_trx_id": "8N7A6D5", "sender": "+5511", "branch": "17"}
    ids, keyring, now = shop.scene.ids, shop.scene.keyring, shop.clock.now()
    waiting = await shop.db.write(
        lambda tx: submissions.submit(
            tx,
            payment.id,
            form,
            [],
            owner=payment.owner,
            ids=ids,
            keyring=keyring,
            now=now,
        )
    )
    assert waiting is not None
    return waiting


async def state_of_code(shop: Shop, payment: Payment) -> State:
    charge = await shop.db.read(lambda tx: pix.charge_of(tx, payment))
    assert charge is not None
    return charge.state


async def claimed(shop: Shop, payment: Payment) -> int:
    """Have Ana take what waits for a person about a payment; return its number."""
    keyring, now = shop.scene.keyring, shop.clock.now()

    def claim(tx: Tx) -> int:
        [found] = tx.all("select id from review_item where payment_id = :id and resolved_at is null", id=payment.id)
        return decisions.claim(tx, found["id"], owner=payment.owner, by=ANA, keyring=keyring, now=now).id

    return await shop.db.write(claim)


async def rejects_for_good(shop: Shop, payment: Payment, item: int) -> None:
    ids, keyring, now = shop.scene.ids, shop.scene.keyring, shop.clock.now()
    await shop.db.write(
        lambda tx: decisions.reject(
            tx,
            item,
            owner=payment.owner,
            by=ANA,
            final=True,
            reason="not_found",
            ids=ids,
            keyring=keyring,
            now=now,
        )
    )
