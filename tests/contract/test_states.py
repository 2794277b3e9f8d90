"""Every state and every cause: what is listed happens exactly so, everything else changes nothing (bar C14).

The cases come from the tables of `payments/transitions.py`, and so do the diagrams in docs/states.md.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from opentill.db import Database, ReadTx
from opentill.gateways.port import PaidVerdict, RefundAnswer, RefundState, UnpaidVerdict, VerdictState
from opentill.kernel.clock import HOUR, Instant
from opentill.kernel.errors import Refused
from opentill.kernel.money import Money
from opentill.ledger import verification as books
from opentill.merchants import gateways
from opentill.payments import flow, service, store, transitions
from opentill.payments import verification as payments
from opentill.payments.disputes import service as disputes
from opentill.payments.disputes.model import DisputeStatus
from opentill.payments.model import SESSIONS_MAX, Payment, Refund
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds import service as refunds
from opentill.payments.review import decisions, submissions
from opentill.payments.review.decisions import Actor
from opentill.payments.transitions import Cause, Transition
from tests.usecases.payments.shop import Shop, open_shop

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "states.md"
ANA: Final = Actor("ana@example.com", "203.0.113.7")
NOBODY_KNOWS: Final = UnpaidVerdict(VerdictState.UNKNOWN)
DECLINED: Final = UnpaidVerdict(VerdictState.FAILED)
FORM: Final = {"sender": "+5511"}

Deed = Callable[[Shop, Payment], Awaitable[object]]


@dataclass(frozen=True)
class Seen:
    """All a transition may change."""

    state: str
    events: Sequence[str]
    journals: Sequence[str]


@pytest.mark.checklist("M52")
@pytest.mark.bar("C14")
@pytest.mark.parametrize("state", transitions.states(transitions.TRANSACTION))
async def test_a_payment_goes_where_the_table_says(database: Database, state: str) -> None:
    for cause in ON_PAYMENTS:
        shop = await fresh_shop(database)
        payment = await payment_in(shop, state, by_hand=cause is Cause.SUBMITS)
        before = await seen(shop, "payment", payment.id)
        assert before.state == state

        refused = await attempted(ON_PAYMENTS[cause](shop, payment))

        expected = transitions.of(transitions.TRANSACTION, state, cause)
        after = await seen(shop, "payment", payment.id)
        assert changes(before, after) == as_listed(expected), f"{state}: {cause}: {refused!r}"
    assert await audited(database) == []


@pytest.mark.checklist("M52")
@pytest.mark.bar("C14")
@pytest.mark.parametrize("state", transitions.states(transitions.REFUND))
async def test_a_refund_goes_where_the_table_says(database: Database, state: str) -> None:
    for cause, answer in ON_REFUNDS.items():
        shop = await fresh_shop(database)
        refund = await refund_in(shop, state)
        before = await seen(shop, "refund", refund.id)
        assert before.state == state

        await concluded(shop, refund, answer)

        expected = transitions.of(transitions.REFUND, state, cause)
        assert changes(before, await seen(shop, "refund", refund.id)) == as_listed(expected), f"{state}: {cause}"
    assert await audited(database) == []


@pytest.mark.checklist("M52")
@pytest.mark.bar("C14")
@pytest.mark.parametrize("state", transitions.states(transitions.DISPUTE))
async def test_a_dispute_goes_where_the_table_says(database: Database, state: str) -> None:
    for cause in (Cause.ANSWERS, *ENDS):
        shop = await fresh_shop(database)
        payment = await shop.pays(await shop.orders("10.00"), "paid")
        uuid = await dispute_in(shop, payment, state)
        before = await seen(shop, "dispute", 0, uuid)
        assert before.state == state

        refused = await attempted(contested(shop, uuid, cause))

        expected = transitions.of(transitions.DISPUTE, state, cause)
        after = await seen(shop, "dispute", 0, uuid)
        assert changes(before, after) == as_listed(expected), f"{state}: {cause}: {refused!r}"
    assert await audited(database) == []


@pytest.mark.bar("C14")
@pytest.mark.parametrize("name", list(transitions.TABLES))
def test_the_diagram_in_the_document_is_the_tables(name: str) -> None:
    """Paste what `opentill.payments.transitions.diagram` returns."""
    assert f"```mermaid\n{transitions.diagram(name)}\n```" in DOCUMENT.read_text()


@pytest.mark.bar("C14")
def test_no_table_lists_a_pair_twice() -> None:
    for name, table in transitions.TABLES.items():
        pairs = [(row.before, row.cause) for row in table]
        assert len(pairs) == len(set(pairs)), name


# What happens.


async def opens(shop: Shop, payment: Payment) -> None:
    await flow.choose_gateway(shop.tools, payment.token, "wallet")


async def submits(shop: Shop, payment: Payment) -> None:
    await use(shop, submissions.submit, payment.id, FORM, [])


async def hears(shop: Shop, payment: Payment, verdict: Any) -> None:
    """Have the gateway of the newest try say something of it."""
    session = await shop.tools.db.read(lambda tx: store.last_session(tx, payment.id, owner=payment.owner))
    if session is not None:
        tools, now = shop.tools, shop.tools.clock.now()
        await tools.db.write(
            lambda tx: service.conclude(tx, session, verdict, ids=tools.ids, keyring=tools.keyring, now=now)
        )


async def declines(shop: Shop, payment: Payment) -> None:
    await hears(shop, payment, DECLINED)


async def declines_last(shop: Shop, payment: Payment) -> None:
    def use_up(tx: Any) -> None:
        for number in range(SESSIONS_MAX):
            tx.run(
                """
                insert into gateway_session (reference, payment_id, merchant_id, mode, gateway, state, opened_at)
                values (:reference, :payment_id, :merchant_id, 1, 'sandbox', 'declined', 0)
                """,
                reference=f"ses_{payment.id}_{number}",
                payment_id=payment.id,
                merchant_id=payment.owner.merchant_id,
            )

    session = await shop.tools.db.read(lambda tx: store.last_session(tx, payment.id, owner=payment.owner))
    await shop.tools.db.write(use_up)
    if session is not None:
        tools, now = shop.tools, shop.tools.clock.now()
        await tools.db.write(
            lambda tx: service.conclude(tx, session, DECLINED, ids=tools.ids, keyring=tools.keyring, now=now)
        )


async def pays(shop: Shop, payment: Payment) -> None:
    await hears(shop, payment, PaidVerdict(f"money-{shop.tools.ids.hex(8)}", payment.amount))


async def pays_other(shop: Shop, payment: Payment) -> None:
    other = Money(payment.amount.units + 100, payment.amount.currency)
    await hears(shop, payment, PaidVerdict(f"money-{shop.tools.ids.hex(8)}", other))


async def cancels(shop: Shop, payment: Payment) -> None:
    await use(shop, service.cancel, payment.id)


async def runs_out(shop: Shop, payment: Payment) -> None:
    now = Instant(payment.expires_at + 2 * HOUR)
    tools = shop.tools
    await tools.db.write(
        lambda tx: service.expire(tx, payment.id, owner=payment.owner, ids=tools.ids, keyring=tools.keyring, now=now)
    )


async def claims(shop: Shop, payment: Payment) -> None:
    await use(shop, decisions.claim, await item_of(shop, payment), by=ANA)


async def approves(shop: Shop, payment: Payment) -> None:
    number = await item_of(shop, payment)
    await use(shop, decisions.claim, number, by=ANA)
    await use(shop, decisions.approve, number, by=ANA, seen=payment.amount)


async def rejects(shop: Shop, payment: Payment) -> None:
    await rejected(shop, payment, final=False)


async def rejects_finally(shop: Shop, payment: Payment) -> None:
    await rejected(shop, payment, final=True)


async def rejected(shop: Shop, payment: Payment, *, final: bool) -> None:
    number = await item_of(shop, payment)
    await use(shop, decisions.claim, number, by=ANA)
    await use(shop, decisions.reject, number, by=ANA, final=final, reason="not_found")


async def marks_paid(shop: Shop, payment: Payment) -> None:
    ref = f"cash-{shop.tools.ids.hex(8)}"
    await use(shop, decisions.mark_paid, payment.id, by=ANA, seen=payment.amount, ref=ref, reason="in cash")


async def operator_cancels(shop: Shop, payment: Payment) -> None:
    if (await shop.reads(payment)).under_review:
        await use(shop, decisions.cancel, payment.id, by=ANA, reason="asked to")
    else:
        await cancels(shop, payment)


async def refunds_all(shop: Shop, payment: Payment) -> None:
    wish = refunds.Wish(shop.tools.ids.uuid7())
    await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)


ON_PAYMENTS: Final[dict[Cause, Deed]] = {
    Cause.OPENS: opens,
    Cause.SUBMITS: submits,
    Cause.DECLINES: declines,
    Cause.DECLINES_LAST: declines_last,
    Cause.PAYS: pays,
    Cause.PAYS_OTHER: pays_other,
    Cause.CANCELS: cancels,
    Cause.TIME: runs_out,
    Cause.CLAIMS: claims,
    Cause.APPROVES: approves,
    Cause.REJECTS: rejects,
    Cause.REJECTS_FINALLY: rejects_finally,
    Cause.MARKS_PAID: marks_paid,
    Cause.OPERATOR_CANCELS: operator_cancels,
    Cause.REFUNDS_ALL: refunds_all,
}
ON_REFUNDS: Final = {
    Cause.SAYS_YES: RefundAnswer(RefundState.COMPLETED, ref="R-1"),
    Cause.SAYS_NO: RefundAnswer(RefundState.FAILED, code="no"),
    Cause.SAYS_NOTHING: RefundAnswer(RefundState.UNKNOWN),
}
ENDS: Final = {
    Cause.WINS: DisputeStatus.WON,
    Cause.LOSES: DisputeStatus.LOST,
    Cause.CLOSES: DisputeStatus.CLOSED,
}


# How a thing comes to be in a state.


async def fresh_shop(database: Database) -> Shop:
    shop = await open_shop(database, seed=next(SEEDS))
    await use(shop, gateways.save_manual, "wallet", name="Wallet", settings={"require_provider_trx": False})
    return shop


SEEDS: Final = iter(range(1_000, 100_000))


async def payment_in(shop: Shop, state: str, *, by_hand: bool) -> Payment:
    """Return a payment in a state, after a try with the sandbox gateway, or with the manual one."""
    payment = await shop.orders("10.00")
    match state:
        case "pending":
            await hears_of_a_try(shop, payment, DECLINED)
        case "processing":
            await flow.choose_gateway(shop.tools, payment.token, "wallet" if by_hand else "sandbox")
        case "awaiting_verification" | "pending_review":
            await opens(shop, payment)
            await submits(shop, payment)
            if state == "pending_review":
                await claims(shop, payment)
        case "completed":
            await hears_of_a_try(shop, payment, PaidVerdict(f"first-{shop.tools.ids.hex(8)}", payment.amount))
        case "refunded":
            await hears_of_a_try(shop, payment, PaidVerdict(f"first-{shop.tools.ids.hex(8)}", payment.amount))
            await refunds_all(shop, payment)
        case "failed":
            await opens(shop, payment)
            await submits(shop, payment)
            await rejects_finally(shop, payment)
        case "cancelled" | "expired":
            await flow.choose_gateway(shop.tools, payment.token, "sandbox")
            await (cancels if state == "cancelled" else runs_out)(shop, payment)
    return await shop.reads(payment)


async def hears_of_a_try(shop: Shop, payment: Payment, verdict: Any) -> None:
    await flow.choose_gateway(shop.tools, payment.token, "sandbox")
    await hears(shop, payment, verdict)


async def refund_in(shop: Shop, state: str) -> Refund:
    payment = await shop.pays(await shop.orders("10.00"), "paid")
    shop.terminal.refunds = RefundAnswer(RefundState.UNKNOWN)
    wish = refunds.Wish(shop.tools.ids.uuid7(), 40_000)
    refund = await refund_flow.give_back(shop.tools, payment.id, wish, owner=payment.owner)
    if state != "pending":
        await concluded(shop, refund, ON_REFUNDS[Cause.SAYS_YES if state == "completed" else Cause.SAYS_NO])
    return refund


async def concluded(shop: Shop, refund: Refund, answer: RefundAnswer) -> None:
    tools, now = shop.tools, shop.tools.clock.now()
    await tools.db.write(lambda tx: refunds.conclude(tx, refund, answer, ids=tools.ids, keyring=tools.keyring, now=now))


async def dispute_in(shop: Shop, payment: Payment, state: str) -> str:
    dispute = await use(shop, disputes.open_dispute, payment.id)
    if state == "under_review":
        await contested(shop, dispute.uuid, Cause.ANSWERS)
    for cause, end in ENDS.items():
        if end.value == state:
            await contested(shop, dispute.uuid, cause)
    uuid: str = dispute.uuid
    return uuid


async def contested(shop: Shop, uuid: str, cause: Cause) -> None:
    if cause is Cause.ANSWERS:
        await use(shop, disputes.send_evidence, uuid, "signed for")
    else:
        await use(shop, disputes.resolve, uuid, ENDS[cause])


# Looking.


async def use(shop: Shop, case: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Run a use case with what every one of them is given."""
    tools = shop.tools
    given = {"ids": tools.ids, "keyring": tools.keyring}
    known = {name: value for name, value in given.items() if name in case.__code__.co_varnames}
    now = tools.clock.now()
    return await tools.db.write(lambda tx: case(tx, *args, owner=shop.merchant.owner, now=now, **known, **more))


async def attempted(deed: Awaitable[object]) -> Refused | None:
    try:
        await deed
    except Refused as refused:
        return refused
    return None


async def item_of(shop: Shop, payment: Payment) -> int:
    rows = await shop.tools.db.read(
        lambda tx: tx.all("select id from review_item where payment_id = :id order by id desc", id=payment.id)
    )
    return rows[0]["id"] if rows else 0


async def seen(shop: Shop, table: str, row_id: int, uuid: str = "") -> Seen:
    state = {"payment": "detail", "refund": "status", "dispute": "status"}[table]

    def look(tx: ReadTx) -> Seen:
        owner = {"merchant_id": shop.merchant.id}
        row = tx.all(f"select {state} as state from {table} where id = :id or uuid = :uuid", id=row_id, uuid=uuid)[0]
        told = tx.all("select type from event where merchant_id = :merchant_id order by seq", **owner)
        posted = tx.all("select kind from journal where merchant_id = :merchant_id order by id", **owner)
        return Seen(row["state"], [row["type"] for row in told], [row["kind"] for row in posted])

    return await shop.tools.db.read(look)


def changes(before: Seen, after: Seen) -> tuple[str, list[str], list[str]]:
    return after.state, list(after.events)[len(before.events) :], list(after.journals)[len(before.journals) :]


def as_listed(row: Transition) -> tuple[str, list[str], list[str]]:
    return row.after, list(row.events), list(row.journals)


async def audited(database: Database) -> list[str]:
    return await database.read(lambda tx: [*books.find_faults(tx), *payments.find_faults(tx)])
