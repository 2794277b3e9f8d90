"""Money on its way back: refunds and disputes."""

from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.numbers import day_start, number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.clock import DAY, after
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.kernel.money import MalformedAmountError, parse
from opentill.payments import queries
from opentill.payments.disputes import queries as dispute_queries
from opentill.payments.disputes import service as disputes
from opentill.payments.disputes.model import DisputeStatus
from opentill.payments.model import Payment
from opentill.payments.queries import Filters
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds import queries as refund_queries
from opentill.payments.refunds.service import Wish

PAGE: Final = 50
Deed = Callable[[Tx, Journalist], object]


async def refunds(visit: Visit) -> Response:
    """List the refunds, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: refund_queries.page(
            tx, Filters(), transaction=None, owner=visit.owner, limit=PAGE + 1, before=before or None
        )
    )
    return visit.render("admin/payments/refunds.html", {"refunds": found[:PAGE], "more": len(found) > PAGE})


async def offer_refund(visit: Visit) -> Response:
    """Ask how much of a payment is to go back."""
    return visit.render("admin/payments/refund-new.html", {"payment": await _payment(visit), "refusal": ""})


async def refund(visit: Visit) -> Response:
    """Give money back; the gateway is asked under one name until it knows."""
    payment = await _payment(visit)
    try:
        units = parse(visit.field("amount").replace(",", "."), payment.amount.currency).units
    except MalformedAmountError as wrong:
        return _refused(visit, payment, Refused("INVALID_AMOUNT", str(wrong)))

    def claimed(tx: Tx, proposed: str) -> str:
        visit.use_form(tx)
        Journalist(visit, tx)("refund.requested", f"payment:{payment.reference}", refund=proposed, units=units)
        return proposed

    wish = Wish(visit.deps.ids.uuid7(), units, visit.field("reason"), origin="operator")
    try:
        await refund_flow.give_back(visit.deps.tools, payment.id, wish, owner=visit.owner, claim=claimed)
    except (Conflict, Refused) as refusal:
        return _refused(visit, payment, refusal)
    return visit.go(f"{visit.home}/payments/{payment.reference}", note="made")


async def refund_sheet(visit: Visit) -> Response:
    """Send every refund, newest first, as CSV."""
    return sheets.sent(visit, "refunds", f"refunds-{visit.path('merchant')}.csv")


async def dispute_list(visit: Visit) -> Response:
    """List the disputes, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: dispute_queries.page(tx, Filters(), owner=visit.owner, limit=PAGE + 1, before=before or None)
    )
    return visit.render("admin/payments/disputes.html", {"disputes": found[:PAGE], "more": len(found) > PAGE})


async def open_dispute(visit: Visit) -> Response:
    """Record that a payment is contested; as much is held."""
    payment = await _payment(visit)
    due = day_start(visit.field("due"))

    def opened(tx: Tx, log: Journalist) -> None:
        made = disputes.open_dispute(
            tx,
            payment.id,
            owner=visit.owner,
            reason=visit.field("reason"),
            evidence_due_at=after(due, DAY) if due is not None else None,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
        )
        log("dispute.opened", f"dispute:{made.uuid}", payment=payment.reference)

    return await _do(visit, opened, f"{visit.home}/disputes")


async def dispute(visit: Visit) -> Response:
    """Show a dispute and what may be done about it."""
    uuid = visit.path("dispute")
    found = await visit.read(lambda tx: dispute_queries.find(tx, uuid, owner=visit.owner))
    if found is None:
        raise NotFound("DISPUTE_NOT_FOUND", "No such dispute.")
    return visit.render("admin/payments/dispute.html", {"shown": found, "dispute": found.dispute})


async def answer_dispute(visit: Visit) -> Response:
    """Note the evidence that was sent, or how the dispute ended."""
    uuid, action = visit.path("dispute"), visit.path("action")
    ends = {end.value: end for end in (DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED)}

    def answered(tx: Tx, log: Journalist) -> None:
        deps = visit.deps
        before = dispute_queries.find(tx, uuid, owner=visit.owner)
        if action == "evidence":
            disputes.send_evidence(
                tx, uuid, visit.field("evidence"), owner=visit.owner, keyring=deps.keyring, now=visit.now
            )
        elif action in ends:
            disputes.resolve(
                tx, uuid, ends[action], owner=visit.owner, ids=deps.ids, keyring=deps.keyring, now=visit.now
            )
        else:
            raise NotFound("DISPUTE_NOT_FOUND", "No such dispute.")
        log(f"dispute.{action}", f"dispute:{uuid}", before=before and {"status": before.dispute.status.value})

    return await _do(visit, answered, f"{visit.home}/disputes/{uuid}")


async def _do(visit: Visit, deed: Deed, place: str) -> Response:
    await visit.write(deed)
    return visit.go(place, note="saved")


async def _payment(visit: Visit) -> Payment:
    ref = visit.path("payment")
    found = await visit.read(lambda tx: queries.find(tx, ref, owner=visit.owner, keyring=visit.deps.keyring))
    if found is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return found


def _refused(visit: Visit, payment: Payment, refusal: Refused) -> Response:
    facts = {"payment": payment, "refusal": visit.told(refusal)}
    return visit.render("admin/payments/refund-new.html", facts, status=422)


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/refunds", refunds, "refunds.view"),
    Screen("GET", "/m/{merchant}/refunds.csv", refund_sheet, "refunds.view"),
    Screen("GET", "/m/{merchant}/payments/{payment}/refunds", offer_refund, "refunds.create"),
    Screen("POST", "/m/{merchant}/payments/{payment}/refunds", refund, "refunds.create"),
    Screen("POST", "/m/{merchant}/payments/{payment}/disputes", open_dispute, "disputes.manage"),
    Screen("GET", "/m/{merchant}/disputes", dispute_list, "disputes.view"),
    Screen("GET", "/m/{merchant}/disputes/{dispute}", dispute, "disputes.view"),
    Screen("POST", "/m/{merchant}/disputes/{dispute}/{action}", answer_dispute, "disputes.manage"),
)
