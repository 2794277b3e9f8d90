"""The review queue, where a person decides what is odd; and what they must see to decide it."""

from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.reading import needed_amount
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Row, Tx
from opentill.kernel.errors import Conflict, Fault, Invalid
from opentill.kernel.money import Money, UnknownCurrencyError, currency
from opentill.operators import queries as operators
from opentill.operators import reasons
from opentill.payments import flow, queries, story
from opentill.payments.model import BookedReceipt, Refund
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.refunds.rules import RefundRefused
from opentill.payments.review import decisions, proofs
from opentill.payments.review.decisions import QUESTION_MAX, Actor
from opentill.payments.review.queries import said

PAGE: Final = 25  # items, each with what was said and its forms
DECIDED: Final = 20
ABOUT_MONEY: Final = ("approve", "reject", "reject-for-good")  # a gateway that has not answered is asked before these


async def reviews(visit: Visit) -> Response:
    """Show what waits for a person, longest first, and what was decided lately."""
    after = number(visit.query("after"))

    def found(tx: ReadTx) -> dict[str, Any]:
        waiting = story.reviews(tx, owner=visit.owner, limit=PAGE + 1, after=after)
        page = waiting[:PAGE]
        return {
            "waiting": [_to_decide(tx, visit, row) for row in page],
            "last": page[-1]["id"] if page else None,
            "more": len(waiting) > PAGE,
            "decided": story.reviews(tx, owner=visit.owner, limit=DECIDED, resolved=True),
        }

    facts = {
        "me": visit.who.operator.actor,
        "question_max": QUESTION_MAX,
        "ended": lambda stored: visit.say(reasons.ended(stored), {}),
        "here": _here(visit),
    }
    shown = await visit.read(found)
    if after and not shown["waiting"]:  # what stood here is decided; what waits stands before it
        return visit.go(f"{visit.home}/reviews", note=visit.query("note"))
    return visit.render("admin/reviews.html", facts | shown)


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
            return decisions.release(tx, item_id, owner=visit.owner, by=actor_of(visit), now=visit.now)
        return decisions.claim(
            tx, item_id, owner=visit.owner, by=actor_of(visit), keyring=visit.deps.keyring, now=visit.now
        )

    await visit.write(taken)
    return visit.go(_queue(visit), note="saved")


async def decide(visit: Visit) -> Response:
    """Approve with the amount seen, reject, ask the payer, settle, or say what became of a refund by hand."""
    item_id, deed = number(visit.path("item")), visit.field("deed")
    if deed in ABOUT_MONEY:
        await flow.ask_about_item(visit.deps.tools, item_id, owner=visit.owner)
    if deed == "reject-for-good":
        await flow.remove_code_of_item(
            visit.deps.tools, item_id, owner=visit.owner, by=actor_of(visit), reason=visit.field("because")
        )
    await visit.write(lambda tx, _log: _decide(tx, visit, item_id, deed))
    return visit.go(_queue(visit), note="asked" if deed == "ask" else "saved")


async def return_receipt(visit: Visit) -> Response:
    """Give back money that completed no payment, and decide what waits because of it."""
    receipt_id, why = number(visit.path("receipt")), visit.field("reason")

    def claim(tx: Tx) -> None:
        visit.use_form(tx)
        decisions.give_back(
            tx, receipt_id, owner=visit.owner, by=actor_of(visit), reason=why, keyring=visit.deps.keyring, now=visit.now
        )

    def noted(tx: Tx, receipt: BookedReceipt, returning: Refund) -> None:
        gone = receipt.refunding.units
        Journalist(visit, tx)(
            "receipt.returned",
            f"receipt:{receipt_id}",
            before={"state": receipt.state, "units": receipt.amount.units, "returned_units": gone},
            after={"returned_units": gone + returning.charge.units, "refund": returning.uuid},
        )

    place = _queue(visit)
    await flow.ask_about_receipt(visit.deps.tools, receipt_id, owner=visit.owner)
    try:
        await refund_flow.return_receipt(visit.deps.tools, receipt_id, why, owner=visit.owner, claim=claim, noted=noted)
    except (Conflict, RefundRefused) as refusal:
        return visit.refused(refusal, place)
    return visit.go(place, note="returned")


def _queue(visit: Visit) -> str:
    """Return the page of the queue somebody came from."""
    return f"{visit.home}/reviews{_here(visit)}"


def _here(visit: Visit) -> str:
    """Return the query that names the page of the queue; the forms of the page carry it too."""
    after = number(visit.query("after"))
    return f"?after={after}" if after else ""


def _decide(tx: Tx, visit: Visit, item_id: int, deed: str) -> object:
    owner, by, deps, now = visit.owner, actor_of(visit), visit.deps, visit.now
    why = visit.field("reason")
    match deed:
        case "approve":
            return decisions.approve(
                tx,
                item_id,
                owner=owner,
                by=by,
                seen=_seen(visit),
                reason=why,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
            )
        case "reject" | "reject-for-good":
            return decisions.reject(
                tx,
                item_id,
                owner=owner,
                by=by,
                final=deed != "reject",
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
                pages=f"{visit.address(tx)}/checkout",
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


def _seen(visit: Visit) -> Money:
    """Return the amount somebody saw. Raises Invalid."""
    try:
        asked = currency(visit.field("currency"))
    except UnknownCurrencyError:
        raise Invalid([Fault("seen", "INVALID_AMOUNT", "Enter a plain amount, for example 0.50.")]) from None
    return needed_amount(visit, "seen", asked)


def actor_of(visit: Visit) -> Actor:
    """Return who decides."""
    return Actor(
        visit.who.operator.actor,
        visit.caller.origin,
        may_override=visit.may("payments.override"),
        may_take_over=visit.field("over") == "1" and visit.may("review.decide"),
    )


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/reviews", reviews, "review.view"),
    Screen("GET", "/m/{merchant}/proofs/{proof}", proof, "proofs.view"),
    Screen("POST", "/m/{merchant}/reviews/{item}/claim", take, "review.manage"),
    Screen("POST", "/m/{merchant}/reviews/{item}/decision", decide, "review.decide"),
    Screen("POST", "/m/{merchant}/receipts/{receipt}/return", return_receipt, "refunds.create"),
)
