"""Money on its way back: refunds, disputes, and the review queue, where a person decides what is odd."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.numbers import day_start, number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import DAY, after
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.kernel.money import MalformedAmountError, Money, currency, parse
from opentill.operators import queries as operators
from opentill.payments import queries, story
from opentill.payments.disputes import queries as dispute_queries
from opentill.payments.disputes import service as disputes
from opentill.payments.disputes.model import DisputeStatus
from opentill.payments.model import BookedReceipt, Payment, Refund
from opentill.payments.queries import Filters
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds import queries as refund_queries
from opentill.payments.refunds.rules import RefundRefused
from opentill.payments.refunds.service import Wish
from opentill.payments.review import decisions, proofs
from opentill.payments.review.decisions import QUESTION_MAX, Actor
from opentill.payments.review.queries import said

PAGE: Final = 50
WAITING: Final = 100  # items of the review queue at once
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


async def reviews(visit: Visit) -> Response:
    """Show what waits for a person, longest first, and what was decided lately."""
    facts: dict[str, Any] = await visit.read(
        lambda tx: {
            "waiting": [_to_decide(tx, visit, row) for row in story.reviews(tx, owner=visit.owner, limit=WAITING)],
            "decided": story.reviews(tx, owner=visit.owner, limit=20, resolved=True),
        }
    )
    return visit.render("admin/reviews.html", facts | {"me": visit.who.operator.actor, "question_max": QUESTION_MAX})


def _to_decide(tx: ReadTx, visit: Visit, row: Row) -> dict[str, Any]:
    """Return an item with what somebody must see to decide it."""
    keyring, found = visit.deps.keyring, row["payment_id"]
    is_submission = row["subject_type"] == "submission"
    return {
        "row": row,
        "claimed_by": operators.name_of(tx, row["claimed_by"]),
        "payment": queries.by_id(tx, found, owner=visit.owner, keyring=keyring) if found else None,
        "said": said(tx, number(row["subject_id"]), owner=visit.owner, keyring=keyring) if is_submission else None,
    }


async def proof(visit: Visit) -> Response:
    """Send what a payer uploaded to show that they paid, as a download."""
    proof_id, keyring = number(visit.path("proof")), visit.deps.keyring
    kept = await visit.read(lambda tx: proofs.read(tx, proof_id, owner=visit.owner, keyring=keyring))
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}"}
    return Response(kept.data, media_type=kept.media_type, headers=headers)


async def take(visit: Visit) -> Response:
    """Claim an item, or let it go."""
    item_id = number(visit.path("item"))

    def taken(tx: Tx, _log: Journalist) -> object:
        if visit.field("release"):
            return decisions.release(tx, item_id, owner=visit.owner, by=_actor(visit), now=visit.now)
        return decisions.claim(
            tx, item_id, owner=visit.owner, by=_actor(visit), keyring=visit.deps.keyring, now=visit.now
        )

    return await _do(visit, taken, f"{visit.home}/reviews")


async def decide(visit: Visit) -> Response:
    """Approve with the amount seen, reject, settle, or say what became of a refund by hand."""
    item_id, deed = number(visit.path("item")), visit.field("deed")
    try:
        seen = parse(visit.field("seen").replace(",", ".") or "0", currency(visit.field("currency") or "BRL"))
    except (MalformedAmountError, ValueError):
        return visit.go(f"{visit.home}/reviews", note="refused")
    await visit.write(lambda tx, _log: _decide(tx, visit, item_id, deed, seen))
    return visit.go(f"{visit.home}/reviews", note="asked" if deed == "ask" else "saved")


async def return_receipt(visit: Visit) -> Response:
    """Give back money that completed no payment, and decide what waits because of it."""
    receipt_id, why = number(visit.path("receipt")), visit.field("reason")

    def claim(tx: Tx) -> None:
        visit.use_form(tx)
        decisions.give_back(
            tx, receipt_id, owner=visit.owner, by=_actor(visit), reason=why, keyring=visit.deps.keyring, now=visit.now
        )

    def noted(tx: Tx, receipt: BookedReceipt, returning: Refund) -> None:
        gone = receipt.refunding.units
        Journalist(visit, tx)(
            "receipt.returned",
            f"receipt:{receipt_id}",
            before={"state": receipt.state, "units": receipt.amount.units, "returned_units": gone},
            after={"returned_units": gone + returning.charge.units, "refund": returning.uuid},
        )

    place = f"{visit.home}/reviews"
    try:
        await refund_flow.return_receipt(visit.deps.tools, receipt_id, why, owner=visit.owner, claim=claim, noted=noted)
    except (Conflict, RefundRefused) as refusal:
        return visit.refused(refusal, place)
    return visit.go(place, note="returned")


def _decide(tx: Tx, visit: Visit, item_id: int, deed: str, seen: Money) -> object:
    owner, by, deps, now = visit.owner, _actor(visit), visit.deps, visit.now
    why = visit.field("reason")
    match deed:
        case "approve":
            return decisions.approve(
                tx, item_id, owner=owner, by=by, seen=seen, reason=why, ids=deps.ids, keyring=deps.keyring, now=now
            )
        case "reject" | "reject-for-good":
            return decisions.reject(
                tx,
                item_id,
                owner=owner,
                by=by,
                final=deed == "reject-for-good",
                reason=visit.field("because"),
                note=why,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
            )
        case "ask":
            decisions.ask_payer(
                tx,
                item_id,
                visit.field("question"),
                pages=f"{deps.settings.public_url}/checkout",
                owner=owner,
                by=by,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
            )
            return None
        case "sent" | "not-sent":
            return decisions.decide_refund(
                tx,
                item_id,
                owner=owner,
                by=by,
                sent=deed == "sent",
                reason=why,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
            )
        case _:
            decisions.settle(tx, item_id, owner=owner, by=by, reason=why, keyring=deps.keyring, now=now)
            return None


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


def _actor(visit: Visit) -> Actor:
    return Actor(visit.who.operator.actor, visit.caller.origin, may_override=visit.may("payments.override"))


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/refunds", refunds, "refunds.view"),
    Screen("GET", "/m/{merchant}/refunds.csv", refund_sheet, "refunds.view"),
    Screen("GET", "/m/{merchant}/payments/{payment}/refunds", offer_refund, "refunds.create"),
    Screen("POST", "/m/{merchant}/payments/{payment}/refunds", refund, "refunds.create"),
    Screen("POST", "/m/{merchant}/payments/{payment}/disputes", open_dispute, "disputes.manage"),
    Screen("GET", "/m/{merchant}/disputes", dispute_list, "disputes.view"),
    Screen("GET", "/m/{merchant}/disputes/{dispute}", dispute, "disputes.view"),
    Screen("POST", "/m/{merchant}/disputes/{dispute}/{action}", answer_dispute, "disputes.manage"),
    Screen("GET", "/m/{merchant}/reviews", reviews, "review.view"),
    Screen("GET", "/m/{merchant}/proofs/{proof}", proof, "proofs.view"),
    Screen("POST", "/m/{merchant}/reviews/{item}/claim", take, "review.manage"),
    Screen("POST", "/m/{merchant}/reviews/{item}/decision", decide, "review.decide"),
    Screen("POST", "/m/{merchant}/receipts/{receipt}/return", return_receipt, "refunds.create"),
)
