"""What a person decides: money of another amount, late money, manual payments, and who may."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.events.service import document_of
from opentill.gateways.port import PaidVerdict, UnpaidVerdict, VerdictState
from opentill.kernel.clock import DAY, HOUR, MINUTE
from opentill.kernel.errors import Conflict, Forbidden, Invalid
from opentill.kernel.money import Money, currency, parse
from opentill.ledger import verification as books
from opentill.merchants import gateways, options
from opentill.payments import flow, service, store
from opentill.payments.model import Detail, Payment, PaymentStatus, Refund, RefundStatus
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds.rules import RefundRefused
from opentill.payments.review import decisions, proofs, submissions
from opentill.payments.review.decisions import Actor
from opentill.payments.verification import find_faults
from tests.usecases.payments.shop import Shop, open_shop

ANA = Actor("ana@example.com", "203.0.113.7")
BIA = Actor("bia@example.com", "203.0.113.8")
CHIEF = Actor("chief@example.com", "203.0.113.9", may_override=True)
WALLET = "wallet"
RAIL_ID = "E99999002202603071530abcdef12345"


@pytest.fixture
async def shop(database: Database) -> Shop:
    shop = await open_shop(database)
    await database.write(
        lambda tx: gateways.save_manual(
            tx,
            WALLET,
            name="Wallet",
            settings={"fields": [{"key": "branch", "label": "Branch", "required": True, "pattern": "[0-9]+"}]},
            owner=shop.merchant.owner,
            now=shop.tools.clock.now(),
        )
    )
    return shop


def brl(text: str) -> Money:
    return parse(text, currency("BRL"))


async def does(shop: Shop, case: Callable[..., Any], *args: Any, **more: Any) -> Any:
    tools = shop.tools
    known = {"ids": tools.ids, "keyring": tools.keyring}
    given = {name: value for name, value in known.items() if name in case.__code__.co_varnames}
    return await tools.db.write(
        lambda tx: case(tx, *args, owner=shop.merchant.owner, now=tools.clock.now(), **given, **more)
    )


async def item(shop: Shop) -> int:
    rows = await shop.tools.db.read(
        lambda tx: tx.all("select id from review_item where resolved_at is null order by id desc")
    )
    number: int = rows[0]["id"]
    return number


async def claimed(shop: Shop, by: Actor = ANA) -> int:
    number = await item(shop)
    await does(shop, decisions.claim, number, by=by)
    return number


async def approves(shop: Shop, number: int, seen: str, by: Actor = ANA, reason: str = "") -> Payment:
    payment: Payment = await does(shop, decisions.approve, number, by=by, seen=brl(seen), reason=reason)
    return payment


async def rejects(shop: Shop, number: int, *, final: bool, by: Actor = ANA) -> Payment:
    payment: Payment = await does(shop, decisions.reject, number, by=by, final=final, reason="not_found")
    return payment


async def submits(shop: Shop, payment: Payment, ref: str, *, gateway: str = WALLET, **fields: str) -> Payment | None:
    await flow.choose_gateway(shop.tools, payment.token, gateway)
    form = {"provider_trx_id": ref, "sender": "+5511", "branch": "17", **fields}
    waiting: Payment | None = await does(shop, submissions.submit, payment.id, form, [])
    return waiting


async def audited(shop: Shop) -> list[str]:
    return await shop.tools.db.read(lambda tx: [*books.find_faults(tx), *find_faults(tx)])


async def actions(shop: Shop) -> list[str]:
    rows = await shop.tools.db.read(lambda tx: tx.all("select action from audit_entry order by id"))
    return [row["action"] for row in rows]


# Money of another amount.


async def test_another_amount_is_accepted_with_a_permission_and_a_reason(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "short")
    number = await claimed(shop, CHIEF)

    with pytest.raises(Invalid):
        await approves(shop, number, "9.99", CHIEF)
    completed = await approves(shop, number, "9.99", CHIEF, "a cent is nothing")

    assert (completed.status, completed.amount) == (PaymentStatus.COMPLETED, payment.amount)
    assert await shop.balances() == {"clearing": -99_900, "available": 99_900}
    assert (await shop.events())[-1] == "payment.completed"
    assert await actions(shop) == ["review.claim", "review.approved"]
    assert await audited(shop) == []


@pytest.mark.checklist("M56")
async def test_another_amount_is_not_accepted_without_the_permission(shop: Shop) -> None:
    await shop.pays(await shop.orders("10.00"), "short")
    number = await claimed(shop)

    with pytest.raises(Forbidden):
        await approves(shop, number, "9.99", reason="please")
    with pytest.raises(Invalid):
        await approves(shop, number, "10.00", reason="please")

    assert await shop.balances() == {"clearing": -99_900, "held": 99_900}


async def test_all_of_an_accepted_amount_can_go_back(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "short")
    await approves(shop, await claimed(shop, CHIEF), "9.99", CHIEF, "a cent is nothing")

    for units in (33_300, 33_300, None):
        wish = refund_flow.Wish(shop.tools.ids.uuid7(), units)
        await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)

    assert await shop.balances() == {}
    assert (await shop.reads(payment)).detail is Detail.REFUNDED
    assert await audited(shop) == []


async def test_only_a_payer_who_has_something_to_answer_with_is_asked(shop: Shop) -> None:
    await shop.pays(await shop.orders("10.00"), "short")
    number = await claimed(shop)

    with pytest.raises(Conflict, match="Only a payer who says that they paid can answer"):
        await does(shop, decisions.ask_payer, number, "Why less?", by=ANA, pages="https://pay.example.com/checkout")


async def test_rejected_money_goes_back_and_the_payer_may_try_again(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "short")
    shop.scene.clock.advance(10 * MINUTE)

    waiting = await rejects(shop, await claimed(shop), final=False)
    returned = await refund_flow.return_receipt(shop.tools, 1, "wrong amount", owner=payment.owner)

    assert (waiting.status, waiting.detail) == (PaymentStatus.PENDING, Detail.PENDING)
    assert waiting.expires_at == shop.scene.clock.now() + 30 * MINUTE
    assert returned.status is RefundStatus.COMPLETED
    assert await shop.balances() == {}
    assert (await shop.pays(payment, "paid")).status is PaymentStatus.COMPLETED
    assert await audited(shop) == []


async def gives_back(shop: Shop, receipt_id: int) -> Refund:
    """Give money back as the panel does: what waits because of it is decided in the same transaction."""
    tools, owner = shop.tools, shop.merchant.owner

    def claim(tx: Tx) -> None:
        now = tools.clock.now()
        decisions.give_back(tx, receipt_id, owner=owner, by=ANA, reason="asked to", keyring=tools.keyring, now=now)

    return await refund_flow.return_receipt(tools, receipt_id, "asked to", owner=owner, claim=claim)


async def test_money_of_another_amount_goes_back_and_the_payer_may_try_again(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "short")
    with pytest.raises(Conflict):
        await gives_back(shop, 1)  # nobody has claimed what waits
    number = await claimed(shop)

    returned = await gives_back(shop, 1)

    assert returned.status is RefundStatus.COMPLETED
    assert await shop.balances() == {}
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING
    with pytest.raises(Conflict):
        await approves(shop, number, "9.99", CHIEF, "too late")
    with pytest.raises(RefundRefused):
        await gives_back(shop, 1)
    assert await actions(shop) == ["review.claim", "review.returned"]
    assert (await shop.pays(payment, "paid")).status is PaymentStatus.COMPLETED
    assert await audited(shop) == []


async def test_money_that_came_twice_goes_back_and_the_payment_stays_paid(shop: Shop) -> None:
    payment = await shop.pays(await shop.orders("10.00"), "paid")
    await shop.hears_late(payment, "once more")
    await claimed(shop)

    with pytest.raises(Conflict):
        await gives_back(shop, 1)  # that is the payment's own
    returned = await gives_back(shop, 2)

    assert returned.status is RefundStatus.COMPLETED
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}
    paid = await shop.reads(payment)
    assert (paid.status, paid.refunded.units) == (PaymentStatus.COMPLETED, 0)
    assert await actions(shop) == ["review.claim", "review.returned"]
    with pytest.raises(RefundRefused):
        await gives_back(shop, 2)
    assert await audited(shop) == []


async def test_a_final_rejection_ends_the_payment(shop: Shop) -> None:
    await shop.pays(await shop.orders("10.00"), "short")

    failed = await rejects(shop, await claimed(shop), final=True)

    assert failed.status is PaymentStatus.FAILED
    assert (await shop.events())[-1] == "payment.failed"
    assert await shop.balances() == {"clearing": -99_900, "held": 99_900}
    assert await audited(shop) == []


@pytest.mark.checklist("M56")
async def test_two_people_cannot_decide_the_same_item(shop: Shop) -> None:
    await shop.pays(await shop.orders("10.00"), "short")
    number = await claimed(shop)

    with pytest.raises(Conflict):
        await does(shop, decisions.claim, number, by=BIA)
    with pytest.raises(Conflict):
        await rejects(shop, number, final=True, by=BIA)
    await does(shop, decisions.release, number, by=ANA)
    await does(shop, decisions.claim, number, by=BIA)
    await rejects(shop, number, final=True, by=BIA)
    with pytest.raises(Conflict):
        await does(shop, decisions.claim, number, by=ANA)


async def test_a_second_claim_on_money_is_rejected_and_a_second_payment_settled(shop: Shop) -> None:
    first, second = await shop.orders("10.00"), await shop.orders("10.00")
    shop.terminal.pays = PaidVerdict("same", first.amount)
    await shop.pays(first)
    await shop.pays(second)
    number = await claimed(shop)

    with pytest.raises(Conflict):
        await does(shop, decisions.settle, number, by=ANA, reason="looked at")
    assert (await rejects(shop, number, final=True)).status is PaymentStatus.FAILED

    session = await shop.tools.db.read(lambda tx: store.last_session(tx, first.id, owner=first.owner))
    assert session is not None
    await does(
        shop,
        lambda tx, owner, now: service.conclude(
            tx, session, PaidVerdict("other", first.amount), ids=shop.tools.ids, keyring=shop.tools.keyring, now=now
        ),
    )
    await does(shop, decisions.settle, await claimed(shop), by=ANA, reason="given back in the shop")
    assert await audited(shop) == []


# Late money.


@pytest.mark.checklist("M58")
async def test_late_money_completes_the_payment_and_is_said_to_be_late(shop: Shop) -> None:
    lost = await shop.loses(await shop.orders("10.00"))
    assert lost.status is PaymentStatus.EXPIRED

    late = await shop.hears_late(lost)

    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}
    rows = await shop.tools.db.read(lambda tx: tx.all("select type, doc from event order by seq desc limit 1"))
    assert (rows[0]["type"], document_of(rows[0]["doc"])["payment"]["late"]) == ("payment.completed", True)
    assert await shop.reviews() == []
    assert await audited(shop) == []


@pytest.mark.checklist("M58")
async def test_late_money_waits_where_the_merchant_wants_to_see_it(shop: Shop) -> None:
    await does(shop, lambda tx, owner, now: options.change(tx, {"late_payments": "review"}, owner=owner))
    payment = await shop.orders("10.00", expires_in_s=60)
    await shop.pays(payment, "paid_late")
    await later(shop)

    waiting = await shop.reads(payment)
    assert waiting.status is PaymentStatus.EXPIRED
    assert await shop.balances() == {"clearing": -100_000, "held": 100_000}
    completed = await approves(shop, await claimed(shop), "10.00")

    assert (completed.status, completed.late) == (PaymentStatus.COMPLETED, True)
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}
    assert (await shop.events())[-1] == "payment.completed"
    assert await audited(shop) == []


async def test_rejected_late_money_leaves_the_payment_as_it_ended(shop: Shop) -> None:
    await does(shop, lambda tx, owner, now: options.change(tx, {"late_payments": "review"}, owner=owner))
    payment = await shop.orders("10.00", expires_in_s=60)
    await shop.pays(payment, "paid_late")
    await later(shop)

    await rejects(shop, await claimed(shop), final=True)
    await refund_flow.return_receipt(shop.tools, 1, "too late", owner=payment.owner)

    assert (await shop.reads(payment)).status is PaymentStatus.EXPIRED
    assert await shop.balances() == {}
    assert (await shop.events())[-1] == "payment.expired"
    assert await audited(shop) == []


async def later(shop: Shop) -> None:
    """Let the payment's time and the hour after it pass while the gateway is silent, and then the money come."""
    shop.terminal.says = UnpaidVerdict(VerdictState.UNKNOWN)
    shop.scene.clock.advance(62 * MINUTE)
    await flow.expire_due(shop.tools)
    shop.terminal.says = None
    tools = shop.tools
    session = await tools.db.read(lambda tx: store.last_session(tx, 1, owner=shop.merchant.owner))
    assert session is not None
    verdict = PaidVerdict("late", brl("10.00"))
    await tools.db.write(
        lambda tx: service.conclude(tx, session, verdict, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now())
    )


# Declines.


async def test_a_merchant_may_let_payers_try_once_only(shop: Shop) -> None:
    await does(shop, lambda tx, owner, now: options.change(tx, {"fail_on_decline": True}, owner=owner))

    failed = await shop.pays(await shop.orders("10.02"))

    assert failed.status is PaymentStatus.FAILED
    assert (await shop.events())[-1] == "payment.failed"


async def test_after_ten_declines_the_payment_has_failed(shop: Shop) -> None:
    payment = await shop.orders("10.02")

    for _ in range(9):
        assert (await shop.pays(payment)).status is PaymentStatus.PENDING
    assert (await shop.pays(payment)).status is PaymentStatus.FAILED

    assert (await shop.events()).count("payment.failed") == 1


# Manual gateways.


@pytest.mark.checklist("M56")
async def test_a_manual_payment_is_submitted_claimed_and_approved(shop: Shop) -> None:
    payment = await shop.orders("10.00")

    waiting = await submits(shop, payment, " 8n7a6d5 ")

    assert waiting is not None
    assert (waiting.status, waiting.detail) == (PaymentStatus.PROCESSING, Detail.AWAITING_VERIFICATION)
    number = await claimed(shop)
    assert (await shop.reads(payment)).detail is Detail.PENDING_REVIEW
    completed = await approves(shop, number, "10.00")
    assert (completed.gateway, completed.gateway_ref) == (WALLET, "8N7A6D5")
    assert ((await shop.reads(payment)).method, (await shop.reads(payment)).gateway_type) == ("manual", "manual")
    assert await shop.events() == ["payment.pending", "payment.processing", "payment.completed"]
    assert await audited(shop) == []


async def test_nothing_expires_while_a_person_is_to_look(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")

    shop.scene.clock.advance(5 * 60 * MINUTE)
    await flow.expire_due(shop.tools)

    assert (await shop.reads(payment)).status is PaymentStatus.PROCESSING
    with pytest.raises(Conflict):
        await flow.cancel(shop.tools, payment.token)


@pytest.mark.checklist("M56")
@pytest.mark.parametrize(("ref", "again"), [("8N7A6D5", "8n7a6d5"), (RAIL_ID, RAIL_ID.upper())])
async def test_a_provider_id_counts_once_until_it_is_rejected(shop: Shop, ref: str, again: str) -> None:
    one, other = await shop.orders("10.00"), await shop.orders("10.00")
    await submits(shop, one, ref)

    assert await submits(shop, other, again) is None
    assert "its provider id was submitted before" in await shop.reviews()
    rows = await shop.tools.db.read(lambda tx: tx.all("select id from review_item where payment_id = :id", id=one.id))
    await does(shop, decisions.claim, rows[0]["id"], by=ANA)
    assert (await rejects(shop, rows[0]["id"], final=False)).status is PaymentStatus.PENDING
    assert await submits(shop, other, again) is not None
    assert await audited(shop) == []


async def test_a_newer_submission_replaces_the_open_one(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    await submits(shop, payment, "8N7A6D6")

    rows = await shop.tools.db.read(lambda tx: tx.all("select state from submission order by id"))
    assert [row["state"] for row in rows] == ["replaced", "open"]
    open_items = await shop.tools.db.read(lambda tx: tx.all("select 1 from review_item where resolved_at is null"))
    assert len(open_items) == 1


async def test_a_form_is_read_by_the_gateways_settings(shop: Shop) -> None:
    payment = await shop.orders("10.00")

    with pytest.raises(Invalid) as wrong:
        await submits(shop, payment, "?", branch="main")

    assert [fault.field for fault in wrong.value.faults] == ["provider_trx_id", "branch"]


@pytest.mark.checklist("M56")
async def test_a_rejected_manual_payment_may_be_paid_otherwise_or_has_failed(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    await rejects(shop, await claimed(shop), final=False)
    await submits(shop, payment, "8N7A6D6")
    failed = await rejects(shop, await claimed(shop), final=True)

    assert failed.status is PaymentStatus.FAILED
    assert await shop.balances() == {}
    assert await audited(shop) == []


async def test_above_the_merchants_limit_two_people_approve(shop: Shop) -> None:
    await does(shop, lambda tx, owner, now: options.change(tx, {"two_approvals_from": 50_000}, owner=owner))
    await submits(shop, await shop.orders("10.00"), "8N7A6D5")

    number = await claimed(shop)
    assert (await approves(shop, number, "10.00")).status is PaymentStatus.PROCESSING
    await does(shop, decisions.claim, number, by=ANA)
    assert (await approves(shop, number, "10.00")).status is PaymentStatus.PROCESSING
    await does(shop, decisions.claim, number, by=BIA)
    assert (await approves(shop, number, "10.00", BIA)).status is PaymentStatus.COMPLETED


async def test_what_takes_two_people_is_not_marked_as_paid_by_one(shop: Shop) -> None:
    await does(shop, lambda tx, owner, now: options.change(tx, {"two_approvals_from": 50_000}, owner=owner))
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    await rejects(shop, await claimed(shop), final=False)

    with pytest.raises(Conflict, match="takes two people"):
        await does(shop, decisions.mark_paid, payment.id, by=ANA, seen=brl("10.00"), ref="8N7A6D5", reason="")


async def test_somebody_who_decides_takes_an_item_over_from_whoever_is_away(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    number = await claimed(shop, BIA)

    with pytest.raises(Conflict):
        await does(shop, decisions.claim, number, by=ANA)
    await does(shop, decisions.claim, number, by=replace(ANA, may_take_over=True))

    assert (await approves(shop, number, "10.00")).status is PaymentStatus.COMPLETED
    assert await actions(shop) == ["review.claim", "review.claim", "review.approved"]


async def test_a_payment_for_the_manual_gateways_is_paid_with_any_of_them(shop: Shop) -> None:
    payment = await shop.orders("10.00", gateway="manual", gateway_fixed=True)
    await submits(shop, payment, "8N7A6D5", gateway="manual")

    completed = await approves(shop, await claimed(shop), "10.00")

    assert completed.gateway == WALLET


async def test_refunds_of_a_manual_payment_wait_for_a_person(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    await approves(shop, await claimed(shop), "10.00")
    wish = refund_flow.Wish(shop.tools.ids.uuid7())

    refund = await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)
    assert refund.status is RefundStatus.PENDING
    number = await claimed(shop)
    sent = await does(shop, decisions.decide_refund, number, by=ANA, sent=True, ref="R-1", reason="")

    assert (sent.status, sent.gateway_ref) == (RefundStatus.COMPLETED, "R-1")
    assert (await shop.events())[-2:] == ["refund.created", "refund.completed"]
    assert await audited(shop) == []


async def test_a_person_may_mark_a_payment_as_paid_or_cancel_it(shop: Shop) -> None:
    payment, other = await shop.orders("10.00"), await shop.orders("10.00")
    await submits(shop, other, "8N7A6D5")

    paid = await does(
        shop, decisions.mark_paid, payment.id, by=ANA, seen=brl("10.00"), ref="CASH-1", reason="paid in cash"
    )
    ended = await does(shop, decisions.cancel, other.id, by=ANA, reason="the payer asked")

    assert (paid.status, paid.gateway_ref) == (PaymentStatus.COMPLETED, "CASH-1")
    assert ended.status is PaymentStatus.CANCELLED
    assert (await actions(shop))[-2:] == ["payment.mark_paid", "payment.cancel"]
    with pytest.raises(Conflict):
        await does(shop, decisions.mark_paid, payment.id, by=ANA, seen=brl("10.00"), ref="CASH-2", reason="again")
    third = await shop.orders("10.00")
    with pytest.raises(Conflict):
        await does(shop, decisions.mark_paid, third.id, by=ANA, seen=brl("10.00"), ref="cash-1", reason="again")
    assert await audited(shop) == []


async def cancels(shop: Shop, payment: Payment, by: Actor = ANA) -> Payment:
    return await flow.cancel_reviewed(shop.tools, payment, by=by, reason="the payer asked")


async def test_a_payment_that_somebody_else_decides_about_is_not_cancelled(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    await claimed(shop, BIA)

    with pytest.raises(Conflict, match="has claimed this"):
        await cancels(shop, await shop.reads(payment))
    assert (await shop.reads(payment)).under_review

    assert (await cancels(shop, await shop.reads(payment), BIA)).status is PaymentStatus.CANCELLED


async def test_a_payment_that_was_decided_meanwhile_is_not_cancelled_by_who_reviewed_it(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    await submits(shop, payment, "8N7A6D5")
    as_shown = await shop.reads(payment)
    await rejects(shop, await claimed(shop, BIA), final=False, by=BIA)

    for cancelling in (cancels(shop, as_shown), does(shop, decisions.cancel, payment.id, by=ANA, reason="")):
        with pytest.raises(Conflict):
            await cancelling
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING


async def reviewed_with_an_unknown_try(shop: Shop) -> Payment:
    """Return a payment that waits for a person while its gateway has not said what became of the last try."""
    payment = await shop.orders("10.00")
    shop.terminal.pays = shop.terminal.says = UnpaidVerdict(VerdictState.UNKNOWN)
    await shop.pays(payment)
    await shop.tools.db.write(
        lambda tx: tx.run("update payment set detail = 'pending_review' where id = :id", id=payment.id)
    )
    shop.scene.clock.advance(MINUTE)  # the call is over
    return await shop.reads(payment)


async def test_a_reviewed_payment_is_not_cancelled_while_the_outcome_of_its_try_is_unknown(shop: Shop) -> None:
    payment = await reviewed_with_an_unknown_try(shop)

    for cancelling in (cancels(shop, payment), does(shop, decisions.cancel, payment.id, by=ANA, reason="")):
        with pytest.raises(Conflict) as refused:
            await cancelling
        assert refused.value.code == "TRY_UNCONFIRMED"

    assert len(shop.terminal.asked) == 1
    assert await shop.tries(payment) == ["unknown"]
    assert (await shop.reads(payment)).under_review


async def test_a_reviewed_payment_whose_gateway_says_that_it_was_paid_is_not_cancelled(shop: Shop) -> None:
    payment = await reviewed_with_an_unknown_try(shop)
    shop.terminal.says = PaidVerdict("paid", payment.amount)

    with pytest.raises(Conflict):
        await cancels(shop, payment)

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}


async def test_a_reviewed_payment_whose_gateway_says_no_is_cancelled(shop: Shop) -> None:
    payment = await reviewed_with_an_unknown_try(shop)
    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)

    assert (await cancels(shop, payment)).status is PaymentStatus.CANCELLED
    assert await shop.tries(payment) == ["declined"]


async def short_with_an_unknown_try(shop: Shop) -> Payment:
    """Return a payment whose first try brought R$9.99 for R$10.00 while the outcome of the second is unknown."""
    payment = await shop.orders("10.00")
    await shop.pays(payment, "declined")
    shop.terminal.pays = shop.terminal.says = UnpaidVerdict(VerdictState.UNKNOWN)
    await shop.pays(payment)
    tools = shop.tools
    [first, _] = await tools.db.read(
        lambda tx: tx.all("select reference from gateway_session where payment_id = :id order by id", id=payment.id)
    )
    session = await tools.db.read(
        lambda tx: store.session_by_reference(tx, first["reference"], gateway="sandbox", owner=payment.owner)
    )
    assert session is not None
    short = PaidVerdict("short", brl("9.99"))
    await does(
        shop,
        lambda tx, owner, now: service.conclude(tx, session, short, ids=tools.ids, keyring=tools.keyring, now=now),
    )
    return await shop.reads(payment)


async def asks_about(shop: Shop, number: int) -> None:
    await flow.ask_about_item(shop.tools, number, owner=shop.merchant.owner)


@pytest.mark.parametrize("final", [False, True])
async def test_money_is_not_rejected_while_the_outcome_of_another_try_is_unknown(shop: Shop, final: bool) -> None:
    payment = await short_with_an_unknown_try(shop)
    number = await claimed(shop)

    await asks_about(shop, number)
    with pytest.raises(Conflict, match="Decide again in a few minutes") as refused:
        await rejects(shop, number, final=final)

    assert refused.value.code == "TRY_UNCONFIRMED"
    assert len(shop.terminal.asked) == 1
    assert await shop.tries(payment) == ["paid", "unknown"]
    assert (await shop.reads(payment)).under_review
    assert await actions(shop) == ["review.claim"]

    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)
    await asks_about(shop, number)
    rejected = await rejects(shop, number, final=final)
    assert rejected.status is (PaymentStatus.FAILED if final else PaymentStatus.PENDING)
    assert await shop.tries(payment) == ["paid", "declined"]
    assert await audited(shop) == []


async def test_money_does_not_go_back_while_the_outcome_of_another_try_is_unknown(shop: Shop) -> None:
    payment = await short_with_an_unknown_try(shop)
    await claimed(shop)

    with pytest.raises(Conflict) as refused:
        await gives_back(shop, 1)

    assert refused.value.code == "TRY_UNCONFIRMED"
    assert await shop.balances() == {"clearing": -99_900, "held": 99_900}
    assert await shop.tries(payment) == ["paid", "unknown"]

    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)
    await flow.ask_about_receipt(shop.tools, 1, owner=payment.owner)
    assert (await gives_back(shop, 1)).status is RefundStatus.COMPLETED
    assert (await shop.reads(payment)).status is PaymentStatus.PENDING


async def test_a_try_that_turns_out_to_be_paid_wins_and_the_other_money_goes_back(shop: Shop) -> None:
    payment = await short_with_an_unknown_try(shop)
    number = await claimed(shop, CHIEF)
    shop.terminal.says = PaidVerdict("paid", payment.amount)

    await asks_about(shop, number)
    with pytest.raises(Conflict, match="there is no money to approve"):
        await approves(shop, number, "9.99", CHIEF, "a cent is nothing")
    await does(shop, decisions.claim, number, by=Actor(ANA.name, ANA.origin, may_take_over=True))
    await gives_back(shop, 1)

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.tries(payment) == ["paid", "paid"]
    assert await shop.balances() == {"clearing": -100_000, "available": 100_000}
    assert await audited(shop) == []


async def test_money_is_approved_while_another_try_is_unknown_which_is_told_as_paid_twice_if_it_was(
    shop: Shop,
) -> None:
    payment = await short_with_an_unknown_try(shop)
    number = await claimed(shop, CHIEF)
    await asks_about(shop, number)
    await approves(shop, number, "9.99", CHIEF, "a cent is nothing")
    assert await shop.tries(payment) == ["paid", "unknown"]

    shop.terminal.says = PaidVerdict("paid", payment.amount)
    shop.scene.clock.advance(HOUR)
    await flow.check_due_sessions(shop.tools)

    assert await shop.tries(payment) == ["paid", "paid"]
    assert (await shop.reviews())[-1] == "paid twice"
    assert await shop.balances() == {"clearing": -199_900, "available": 199_900}
    assert await audited(shop) == []


async def test_an_hour_after_its_time_a_decision_waits_for_no_gateway_that_never_answers(shop: Shop) -> None:
    payment = await short_with_an_unknown_try(shop)
    number = await claimed(shop)
    shop.scene.clock.advance(90 * MINUTE)

    await asks_about(shop, number)
    assert (await rejects(shop, number, final=True)).status is PaymentStatus.FAILED
    assert await shop.tries(payment) == ["paid", "unknown"]  # and is asked about on

    shop.terminal.says = PaidVerdict("paid", payment.amount)
    shop.scene.clock.advance(DAY)
    await flow.check_due_sessions(shop.tools)
    late = await shop.reads(payment)
    assert (late.status, late.late) == (PaymentStatus.COMPLETED, True)
    assert await audited(shop) == []


async def test_a_payment_that_waits_again_gets_no_second_try_while_the_first_is_unknown(shop: Shop) -> None:
    payment = await short_with_an_unknown_try(shop)
    number = await claimed(shop)
    shop.scene.clock.advance(90 * MINUTE)
    await asks_about(shop, number)
    assert (await rejects(shop, number, final=False)).status is PaymentStatus.PENDING

    with pytest.raises(Conflict, match="still being confirmed"):
        await flow.choose_gateway(shop.tools, payment.token, WALLET)
    shop.terminal.says = UnpaidVerdict(VerdictState.FAILED)
    shop.scene.clock.advance(20 * MINUTE)
    await flow.check_due_sessions(shop.tools)

    await flow.choose_gateway(shop.tools, payment.token, WALLET)
    assert await shop.tries(payment) == ["paid", "declined", "open"]


async def test_money_that_came_past_a_gateway_is_not_booked_as_its_own(shop: Shop) -> None:
    """A refund of it would ask the gateway for money that the gateway never had."""
    payment = await shop.orders("10.00")
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")

    paid = await does(shop, decisions.mark_paid, payment.id, by=ANA, seen=brl("10.00"), ref="CASH-7", reason="")

    assert (paid.gateway, paid.by_hand) == ("manual", True)
    assert await shop.tries(payment) == ["abandoned"]
    assert await audited(shop) == []


async def test_what_a_gateway_knows_of_a_payment_marked_as_paid_is_heard_of(shop: Shop) -> None:
    payment = await shop.orders("10.00")
    shop.terminal.pays = UnpaidVerdict(VerdictState.UNKNOWN)
    await shop.pays(payment)

    await does(shop, decisions.mark_paid, payment.id, by=ANA, seen=brl("10.00"), ref="CASH-7", reason="")
    assert await shop.tries(payment) == ["unknown"]
    await shop.hears_late(payment)

    assert (await shop.balances())["available"] == 2 * brl("10.00").units
    assert await audited(shop) == []


def test_proofs_are_judged_by_content_and_lose_what_cameras_add() -> None:
    place = b"\xff\xe1\x00\x08Exif\0\0"
    picture = proofs.accept("../a.exe", b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + place + b"\xff\xda" + b"pixels")
    assert (picture.name, picture.media_type) == ("..a.exe", "image/jpeg")
    assert b"Exif" not in picture.data

    for wrong in (b"MZ\x90", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"", b"%PDF-" + bytes(5 * 1024 * 1024)):
        with pytest.raises(Invalid):
            proofs.accept("proof.png", wrong)
