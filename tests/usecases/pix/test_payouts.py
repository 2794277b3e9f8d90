"""Payouts from the hold to the end, on a bank that may be silent, slow or wrong (pix-api.md §15, §16.3)."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from opentill import ledger
from opentill.db import CheckViolation
from opentill.kernel.calendar import SAO_PAULO
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, from_datetime
from opentill.kernel.errors import Refused
from opentill.pix.payouts import rules
from opentill.pix.payouts import service as payouts
from opentill.pix.payouts.model import State
from opentill.pix.port import NotSent, PayoutState
from opentill.pix.port import Refused as BankRefused
from tests.usecases.pix.shop import Shop

pytestmark = pytest.mark.anyio


async def refusal(asking: Awaitable[Any]) -> str:
    with pytest.raises(Refused) as refused:
        await asking
    return refused.value.message


async def told(shop: Shop) -> list[str]:
    return [name for name in await shop.events() if "payout" in name or "return" in name]


async def test_a_payout_is_held_sent_and_confirmed(shop: Shop) -> None:
    await shop.funds("100.00")
    sent = await shop.sends("30.00")
    assert sent.state is State.ACCEPTED
    assert await shop.books() == {"bank": -10_000, "available": 7_000, "held": 3_000}

    await shop.pays_out()
    assert (await shop.payout(sent)).state is State.PROCESSING
    shop.payout_bank.settles(sent.id)
    await shop.pays_out(after_us=3 * SECOND)

    done = await shop.payout(sent)
    assert done.state is State.COMPLETED
    assert (done.recipient_name, done.recipient_document) == ("Fulano de Tal", "***456789**")
    assert await shop.books() == {"bank": -7_000, "available": 7_000}
    assert await told(shop) == ["payout.processing pix.payout.processing", "payout.confirmed pix.payout.confirmed"]
    assert shop.payout_bank.executed == {sent.id: 1}


async def test_a_fee_is_held_with_the_amount_and_kept_only_when_it_is_paid(shop: Shop) -> None:
    await shop.run("insert into fee_rule (merchant_id, gateway, currency, fixed_units, created_at)"
                   " values (null, 'pix', 'BRL', 20000, 0)")  # fmt: skip
    await shop.funds("102.00")
    paid, failed = await shop.sends("30.00"), await shop.sends("20.00")
    assert (paid.fee.units, (await shop.books())["held"]) == (20_000, 5_400)

    await shop.pays_out()
    shop.payout_bank.settles(paid.id)
    shop.payout_bank.fails(failed.id, "account_not_found", "AC03")
    await shop.pays_out(after_us=3 * SECOND)
    assert await shop.books() == {"bank": -7_200, "available": 6_800, "fees": 400}


@pytest.mark.checklist("X32")
async def test_a_failed_payout_gives_the_hold_back_and_says_why(shop: Shop) -> None:
    await shop.funds()
    at_once = await shop.sends()
    shop.payout_bank.next(BankRefused("key_not_found", "no such key"))
    await shop.pays_out()
    later = await shop.sends()
    await shop.pays_out()
    shop.payout_bank.fails(later.id, "network_timeout", "AB03")
    await shop.pays_out(after_us=3 * SECOND)

    failures = [(await shop.payout(payout)).failure for payout in (at_once, later)]
    assert [(f.reason, f.code, f.retryable) for f in failures if f] == [
        ("KEY_NOT_FOUND", "key_not_found", False),
        ("AB03", "network_timeout", True),
    ]
    assert await shop.books() == {"bank": -10_000, "available": 10_000}


@pytest.mark.checklist("L15")
@pytest.mark.parametrize("lost", ["timeout_before", "timeout_after"])
async def test_a_lost_answer_is_resolved_by_asking_and_paid_once(shop: Shop, lost: str) -> None:
    await shop.funds()
    sent = await shop.sends()
    shop.payout_bank.next(lost)
    await shop.pays_out()
    assert (await shop.payout(sent)).state is State.UNKNOWN

    await shop.pays_out(after_us=3 * SECOND)
    assert (await shop.payout(sent)).state is State.PROCESSING
    shop.payout_bank.settles(sent.id)
    await shop.pays_out(after_us=6 * SECOND)

    assert (await shop.payout(sent)).state is State.COMPLETED
    assert shop.payout_bank.executed == {sent.id: 1}
    assert (await told(shop)).count("payout.processing pix.payout.processing") == 1
    assert await shop.books() == {"bank": -7_000, "available": 7_000}


async def test_nothing_is_sent_again_while_the_bank_does_not_answer(shop: Shop) -> None:
    await shop.funds()
    sent = await shop.sends()
    shop.payout_bank.next("timeout_before")
    shop.payout_bank.deaf = True
    for _ in range(12):
        await shop.pays_out(after_us=10 * MINUTE)
    assert len(shop.payout_bank.submits) == 1
    assert (await shop.payout(sent)).state is State.UNKNOWN
    assert await shop.reviews() == ["its outcome is not known"]

    shop.payout_bank.deaf = False
    await shop.pays_out(after_us=10 * MINUTE)
    assert shop.payout_bank.executed == {sent.id: 1}


async def test_who_dies_while_sending_leaves_a_question_and_no_second_payout(shop: Shop) -> None:
    await shop.funds()
    sent = await shop.sends()
    taken = await shop.db.write(lambda tx: payouts.take(tx, sent, ids=shop.scene.ids, now=shop.clock.now()))
    assert taken is not None  # and here the process is killed, before or after the bank got it
    await shop.pays_out(after_us=30 * SECOND)
    assert shop.payout_bank.submits == []

    await shop.pays_out(after_us=31 * SECOND)
    assert (await shop.payout(sent)).state is State.UNKNOWN or shop.payout_bank.executed == {sent.id: 1}
    await shop.pays_out(after_us=10 * SECOND)
    assert shop.payout_bank.executed == {sent.id: 1}


@pytest.mark.checklist("X36")
async def test_payouts_wait_while_the_bank_is_away_and_fail_after_two_hours(shop: Shop) -> None:
    await shop.funds()
    first, second = await shop.sends("10.00"), await shop.sends("10.00")
    shop.payout_bank.next(NotSent("away"), NotSent("away"), NotSent("away"))
    await shop.pays_out()
    assert (await shop.payout(first)).state is State.QUEUED
    await shop.pays_out(after_us=4 * SECOND)
    await shop.pays_out(after_us=4 * SECOND)
    assert [(await shop.payout(sent)).state for sent in (first, second)] in (
        [State.PROCESSING, State.QUEUED],
        [State.QUEUED, State.PROCESSING],
        [State.PROCESSING, State.PROCESSING],
    )
    assert (await told(shop)).count("payout.queued pix.payout.queued") == 2

    third = await shop.sends("10.00")
    shop.payout_bank.next(NotSent("away"))
    await shop.pays_out()
    await shop.pays_out(after_us=2 * HOUR)
    failed = await shop.payout(third)
    assert failed.failure is not None
    assert failed.failure.reason == "QUEUE_TIMEOUT"


@pytest.mark.checklist("X36")
async def test_over_the_quota_payouts_wait_in_order(shop: Shop) -> None:
    await shop.allows(payouts_per_minute=2)
    await shop.funds()
    sent = []
    for _ in range(3):
        sent.append(await shop.sends("10.00"))
        shop.passes(1)
    await shop.pays_out()
    states = [(await shop.payout(one)).state for one in sent]
    assert states == [State.PROCESSING, State.PROCESSING, State.QUEUED]
    await shop.pays_out(after_us=MINUTE)
    assert [(await shop.payout(one)).state for one in sent] == [State.PROCESSING] * 3


async def test_what_the_bank_holds_is_said_and_goes_on(shop: Shop) -> None:
    await shop.funds()
    sent = await shop.sends()
    await shop.pays_out()
    shop.payout_bank.says(sent.id, PayoutState.HELD)
    await shop.pays_out(after_us=3 * SECOND)
    assert (await shop.payout(sent)).state is State.HELD
    shop.payout_bank.settles(sent.id)
    await shop.pays_out(after_us=10 * SECOND)
    assert await told(shop) == [
        "payout.processing pix.payout.processing",
        "payout.held pix.payout.held",
        "payout.confirmed pix.payout.confirmed",
    ]


async def test_done_within_the_call_says_both_in_order(shop: Shop) -> None:
    await shop.funds()
    await shop.sends()
    shop.payout_bank.next("done")
    await shop.pays_out()
    assert await told(shop) == ["payout.processing pix.payout.processing", "payout.confirmed pix.payout.confirmed"]


async def test_another_amount_is_never_booked(shop: Shop) -> None:
    await shop.funds()
    sent = await shop.sends()
    shop.payout_bank.next("one_more")
    await shop.pays_out()
    assert (await shop.payout(sent)).state is State.UNKNOWN
    assert await shop.reviews() == ["the bank speaks of another amount"]
    assert await shop.books() == {"bank": -10_000, "available": 7_000, "held": 3_000}


@pytest.mark.checklist("X41")
async def test_what_comes_back_is_credited_once_and_said_in_order(shop: Shop) -> None:
    await shop.funds()
    sent = await shop.sends("30.00")
    shop.payout_bank.next("done")
    await shop.pays_out()
    shop.payout_bank.gives_back(sent.id, 1_000)
    for _ in range(3):
        await shop.pays_out(after_us=DAY + SECOND)
    assert (await shop.payout(sent)).state is State.COMPLETED
    assert await shop.books() == {"bank": -8_000, "available": 8_000}

    shop.payout_bank.gives_back(sent.id, 2_000)
    await shop.pays_out(after_us=DAY + SECOND)
    assert (await shop.payout(sent)).state is State.RETURNED
    assert await shop.books() == {"bank": -10_000, "available": 10_000}
    assert (await told(shop))[2:] == [
        "payout.returned pix.payout.returned",
        "return.received pix.return.received",
    ] * 2
    totals = [found["return"]["total_returned_units"] for found in await shop.documents() if "return" in found]
    assert totals == [100_000, 100_000, 300_000, 300_000]


async def test_a_bank_that_contradicts_itself_is_booked_and_shown(shop: Shop) -> None:
    await shop.funds("30.00")
    sent = await shop.sends("30.00")
    await shop.pays_out()
    failed = shop.payout_bank.fails(sent.id, "provider_error")
    await shop.pays_out(after_us=3 * SECOND)
    assert await shop.books() == {"bank": -3_000, "available": 3_000}
    await shop.sends("30.00")

    paid = shop.payout_bank.settles(failed.ref)
    await shop.db.write(lambda tx: payouts.hear(tx, sent, paid, ids=shop.scene.ids, now=shop.clock.now()))
    assert (await shop.payout(sent)).state is State.COMPLETED
    assert await shop.books() == {"available": -3_000, "held": 3_000}
    assert await shop.reviews() == ["paid after it had failed"]
    assert await refusal(shop.sends("1.00")) == "Insufficient balance"


@pytest.mark.checklist("X35")
async def test_a_second_person_decides_on_large_payouts(shop: Shop) -> None:
    await shop.allows(approve_from_units=200_000)
    await shop.funds("200.00")
    small, large, other, late = [await shop.sends(reais) for reais in ("19.99", "20.00", "20.00", "20.00")]
    assert [payout.state for payout in (small, large)] == [State.ACCEPTED, State.PENDING_APPROVAL]
    owner, ids, now = shop.merchant.owner, shop.scene.ids, shop.clock.now()

    def decide(payout: Any, by: str, *, reject: bool = False) -> Awaitable[Any]:
        if reject:
            return shop.db.write(
                lambda tx: payouts.reject(tx, payout.id, owner=owner, by=by, reason="no", ids=ids, now=now)
            )
        return shop.db.write(lambda tx: payouts.approve(tx, payout.id, owner=owner, by=by, now=now))

    assert await refusal(decide(large, large.created_by)) == "The creator of a payout cannot approve it"
    assert (await decide(large, "ana@example.com")).state is State.ACCEPTED
    assert await refusal(decide(large, "ana@example.com")) == "Transaction has already been processed"
    rejected = await decide(other, "ana@example.com", reject=True)
    assert rejected.failure.reason == "APPROVAL_REJECTED"
    await shop.pays_out(after_us=DAY)
    expired = await shop.payout(late)
    assert expired.failure is not None
    assert expired.failure.reason == "APPROVAL_EXPIRED"
    assert await refusal(decide(late, "ana@example.com")) == "Transaction has already been processed"
    assert set(shop.payout_bank.executed) == {small.id, large.id}


@pytest.mark.checklist("X37")
async def test_limits_hold_by_payout_by_day_and_by_night(shop: Shop) -> None:
    def at(hour: int, minute: int) -> None:  # São Paulo is three hours behind
        wanted = from_datetime(datetime(2026, 3, 10, hour, minute, tzinfo=SAO_PAULO))
        shop.clock.advance(wanted - shop.clock.now())

    at(12, 0)
    await shop.funds("1000.00")
    await shop.allows(payout_max_units=1_000_000, payout_day_units=1_500_000, payout_night_units=100_000)
    assert await refusal(shop.sends("100.01")) == "Transaction limit exceeded"
    await shop.sends("100.00")
    assert await refusal(shop.sends("50.01")) == "Daily limit exceeded"
    at(19, 59)
    await shop.sends("10.01")
    at(20, 0)
    assert await refusal(shop.sends("10.01")) == "Night limit exceeded"
    await shop.sends("10.00")
    at(23, 59)
    assert await refusal(shop.sends("30.00")) == "Daily limit exceeded"
    shop.passes(6 * HOUR)  # 05:59 of the next day
    assert await refusal(shop.sends("10.01")) == "Night limit exceeded"
    shop.passes(MINUTE)
    await shop.sends("100.00")
    await shop.allows(payouts=False)
    assert await refusal(shop.sends("1.00")) == "Payouts are disabled"


async def test_a_refused_payout_leaves_no_row_and_no_hold(shop: Shop) -> None:
    await shop.funds("29.99")
    assert await refusal(shop.sends("30.00")) == "Insufficient balance"
    assert await shop.rows("select id from pix_payout") == []
    assert await shop.books() == {"bank": -2_999, "available": 2_999}


async def test_the_database_refuses_a_hold_that_is_not_covered(shop: Shop) -> None:
    await shop.funds("10.00")
    sent = await shop.sends("10.00")
    journal = replace(rules.held_journal(sent), source_id="another")
    with pytest.raises(CheckViolation, match="the hold is not covered"):
        await shop.db.write(lambda tx: ledger.post(tx, journal, now=shop.clock.now()))


async def test_many_workers_send_each_payout_once(shop: Shop) -> None:
    await shop.funds("100.00")
    sent = [await shop.sends("10.00") for _ in range(10)]
    await asyncio.gather(*(shop.pays_out() for _ in range(4)))
    assert shop.payout_bank.executed == {payout.id: 1 for payout in sent}
    assert len(shop.payout_bank.submits) == 10
