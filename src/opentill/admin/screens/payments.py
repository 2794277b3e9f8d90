"""Payments: the list, and one payment's whole story. From a payment one walks to its money and back."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.numbers import day_start, number
from opentill.admin.panel import Screen
from opentill.admin.reading import needed_amount
from opentill.admin.screens.reviews import actor_of
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Row, Tx
from opentill.events import queries as events
from opentill.gateways.sandbox import Outcome
from opentill.kernel.clock import DAY, after
from opentill.kernel.errors import Fault, Invalid, NotFound, Refused
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.ledger import explorer
from opentill.payments import flow, queries, story
from opentill.payments.model import Payment, PaymentStatus
from opentill.payments.queries import Filters
from opentill.payments.refunds import queries as refunds
from opentill.payments.review import decisions
from opentill.pix.identifiers import provider_txid
from opentill.webhooks.queries import history

PAGE: Final = 50
REF_MAX: Final = 100  # characters
REFUNDS: Final = 50  # of one payment, newest first


async def index(visit: Visit) -> Response:
    """List payments, newest first, narrowed by the query."""
    before, filters = visit.query("before"), _filters(visit)
    found = await visit.read(
        lambda tx: queries.page(
            tx,
            filters,
            owner=visit.owner,
            keyring=visit.deps.keyring,
            now=visit.now,
            limit=PAGE + 1,
            before=number(before) if before else None,
        )
    )
    return visit.render(
        "admin/payments/index.html",
        {"payments": found[:PAGE], "more": len(found) > PAGE, "statuses": sheets.STATUSES},
    )


async def export(visit: Visit) -> Response:
    """Send the payments of the list, all of them, as CSV."""
    return sheets.sent(visit, "payments", f"payments-{visit.path('merchant')}.csv")


def _filters(visit: Visit) -> Filters:
    """Return what the query narrows the list to."""
    status, until = visit.query("status"), day_start(visit.query("until"))
    return Filters(
        statuses=(status,) if status in sheets.STATUSES else None,
        gateway=visit.query("gateway") or None,
        since=day_start(visit.query("since")),
        before=after(until, DAY) if until is not None else None,
        order_id=visit.query("order") or None,
    )


async def show(visit: Visit) -> Response:
    """Show what a payment is, where it stands and why, and everything that came of it."""
    payment = await _payment(visit)
    facts = await visit.read(lambda tx: _story(tx, payment))
    sandbox = payment.owner.mode is Mode.SANDBOX and payment.open
    playable = sandbox and facts["charge"] is not None and facts["charge"]["state"] == "active"
    return visit.render(
        "admin/payments/show.html",
        {
            "payment": payment,
            "address": f"{await visit.read(visit.address)}/checkout/{payment.token}",
            "outcomes": [outcome.value for outcome in Outcome] if sandbox and not playable else [],
            "playable": playable,
            "markable": payment.status is not PaymentStatus.COMPLETED and not payment.under_review,
            "may_run_out": sandbox,
        }
        | facts,
    )


async def cancel(visit: Visit) -> Response:
    """Cancel a payment; its gateway is asked first, and money that is there wins.

    One that waits for a decision is ended by who manages payments and may decide.
    """
    payment, tools = await _payment(visit), visit.deps.tools
    await _note(visit, "payment.cancel_asked", payment, before={"status": payment.status.value})
    if payment.under_review and visit.may("review.decide"):
        await flow.cancel_reviewed(tools, payment, by=actor_of(visit), reason=visit.field("reason"))
    else:
        await flow.cancel(tools, payment.token)
    return visit.go(f"{visit.home}/payments/{payment.reference}", note="cancelled")


async def offer_to_mark(visit: Visit) -> Response:
    """Ask what somebody saw arrive for a payment."""
    return visit.render("admin/payments/mark-paid.html", {"payment": await _payment(visit)})


async def mark_paid(visit: Visit) -> Response:
    """Complete a payment with money that a person saw arrive by another way than a gateway's word."""
    payment, deps = await _payment(visit), visit.deps
    try:
        seen, ref = _seen(visit, payment)
    except Invalid as wrong:
        return visit.wrong("admin/payments/mark-paid.html", wrong, {"payment": payment})
    await flow.asked(deps.tools, payment)  # if the gateway says that it was paid, that counts
    await visit.write(
        lambda tx, _log: decisions.mark_paid(
            tx,
            payment.id,
            owner=visit.owner,
            by=actor_of(visit),
            seen=seen,
            ref=ref,
            reason=visit.field("reason"),
            ids=deps.ids,
            keyring=deps.keyring,
            now=visit.now,
        )
    )
    return visit.go(f"{visit.home}/payments/{payment.reference}", note="saved")


def _seen(visit: Visit, payment: Payment) -> tuple[Money, str]:
    """Return the amount somebody saw and the name of that money. Raises Invalid."""
    ref = visit.field("ref")
    if not ref:
        raise Invalid([Fault("ref", "MISSING_FIELD", "Enter what the bank or provider calls this money.")])
    if len(ref) > REF_MAX:
        most = {"most": REF_MAX}
        wrong = Fault("ref", "VALIDATION_FAILED", "The provider's number has at most %(most)s characters.", most)
        raise Invalid([wrong])
    return needed_amount(visit, "seen", payment.charged.currency), ref


async def play(visit: Visit) -> Response:
    """Play the payer in the sandbox: pay, or let any other outcome happen."""
    payment = await _payment(visit)
    place = f"{visit.home}/payments/{payment.reference}"
    outcome = visit.field("outcome")
    if payment.owner.mode is not Mode.SANDBOX:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    await _note(visit, "sandbox.played", payment, outcome=outcome)
    try:
        if outcome == "bank":
            charge = await visit.read(lambda tx: story.charge(tx, payment))
            if charge is not None:
                await visit.deps.sandbox_bank.pay(provider_txid(charge["id"]))
            return visit.go(place, note="paid")
        if outcome == "run-out":
            await flow.run_out(visit.deps.tools, payment)
            return visit.go(place)
        await flow.choose_gateway(visit.deps.tools, payment.token, "sandbox")
        await flow.submit(visit.deps.tools, payment.token, {"outcome": outcome})
    except Refused as refusal:
        return visit.refused(refusal, place)
    return visit.go(place)


async def _payment(visit: Visit) -> Payment:
    ref = visit.path("payment")
    found = await visit.read(lambda tx: queries.find(tx, ref, owner=visit.owner, keyring=visit.deps.keyring))
    if found is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return found


async def _note(visit: Visit, action: str, payment: Payment, **detail: object) -> None:
    """Write down that somebody asked, before the gateway is called; the form is used up with it."""

    def noted(tx: Tx, log: Journalist) -> None:
        log(action, f"payment:{payment.reference}", **detail)

    await visit.write(noted)


def _story(tx: ReadTx, payment: Payment) -> dict[str, Any]:
    owner = payment.owner
    receipts = story.receipts(tx, payment)
    returned = refunds.page(tx, Filters(), transaction=payment.reference, owner=owner, limit=REFUNDS)
    sources = [
        ("payment", payment.uuid),
        *(("receipt", str(receipt["id"])) for receipt in receipts),
        *(("refund", shown.refund.uuid) for shown in returned),
    ]
    journals = explorer.journals_of(tx, sources, owner=owner)
    happened = events.of_object(tx, "payment", payment.uuid, owner=owner)
    return {
        "timeline": _timeline(payment, story.sessions(tx, payment), receipts, happened),
        "refunds": [shown.refund for shown in returned],
        "charge": story.charge(tx, payment),
        "journals": journals,
        "lines": explorer.lines_of(tx, [journal["id"] for journal in journals]),
        "deliveries": history.deliveries(tx, owner=owner, limit=50, object_id=payment.uuid),
    }


def _timeline(
    payment: Payment, sessions: Sequence[Row], receipts: Sequence[Row], happened: Sequence[Row]
) -> list[dict[str, Any]]:
    """Return what happened in the order of time; what happened at once, in the order of cause."""
    steps: list[dict[str, Any]] = [{"kind": "made", "at": payment.created_at, "row": None}]
    for kind, column, rows in (
        ("session", "opened_at", sessions),
        ("receipt", "received_at", receipts),
        ("event", "occurred_at", happened),
    ):
        steps += [{"kind": kind, "at": row[column], "row": row} for row in rows]
    return sorted(steps, key=lambda step: step["at"])


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/payments", index, "payments.view"),
    Screen("GET", "/m/{merchant}/payments.csv", export, "payments.view"),
    Screen("GET", "/m/{merchant}/payments/{payment}", show, "payments.view"),
    Screen("POST", "/m/{merchant}/payments/{payment}/cancellation", cancel, "payments.manage"),
    Screen("GET", "/m/{merchant}/payments/{payment}/mark-paid", offer_to_mark, "payments.mark_paid", fresh=True),
    Screen("POST", "/m/{merchant}/payments/{payment}/mark-paid", mark_paid, "payments.mark_paid", fresh=True),
    Screen("POST", "/m/{merchant}/payments/{payment}/sandbox", play, "developers.manage"),
)
