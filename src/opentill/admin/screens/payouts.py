"""Payouts: the list, a new one, one's whole story, and the second person who lets it go or stops it."""

from typing import Any, Final

from starlette.responses import Response

from opentill.admin import sheets
from opentill.admin.panel import Screen
from opentill.admin.reading import amount
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Fault, Invalid, NotFound, Refused
from opentill.kernel.mode import Mode
from opentill.ledger import explorer
from opentill.operators import queries as operators
from opentill.payments.exports.model import Wanted
from opentill.pix.keys import detect
from opentill.pix.model import BRL
from opentill.pix.payouts import flow, queries, service
from opentill.pix.payouts.model import Order, Payout, State
from opentill.pix.policy import policy_of
from opentill.pix.port import ToKey
from opentill.webhooks.queries import history

PAGE: Final = 50
DESCRIPTION_MAX: Final = 140  # characters, as the rail carries them
CODE_BEGINS: Final = "000201"  # every copy-and-paste code does
UNDER_WAY: Final = (State.ACCEPTED, State.QUEUED, State.SUBMITTING, State.UNKNOWN, State.PROCESSING, State.HELD)
FILTERS: Final = {
    "pending_approval": (State.PENDING_APPROVAL,),
    "processing": UNDER_WAY,
    "completed": (State.COMPLETED,),
    "returned": (State.RETURNED,),
    "failed": (State.FAILED,),
}


async def index(visit: Visit) -> Response:
    """List payouts, newest first, and how many wait for a second person."""
    states, before = FILTERS.get(visit.query("state")), visit.query("before")
    found, waiting = await visit.read(
        lambda tx: (
            queries.page(tx, owner=visit.owner, limit=PAGE + 1, states=states, before=before or None),
            queries.waiting(tx, owner=visit.owner),
        )
    )
    facts = {"payouts": found[:PAGE], "more": len(found) > PAGE, "waiting": waiting, "states": tuple(FILTERS)}
    return visit.render("admin/pix/payouts.html", facts)


async def export(visit: Visit) -> Response:
    """Send every payout, newest first, as CSV."""
    return sheets.sent(visit, "payouts", f"payouts-{visit.path('merchant')}.csv", Wanted())


async def offer(visit: Visit) -> Response:
    """Ask whom to pay, how much and why."""
    return visit.render("admin/pix/payout-new.html", {"refusal": ""})


async def create(visit: Visit) -> Response:
    """Hold the money and put the payout on its way, or before a second person."""
    try:
        order = await _order(visit)
        able = await flow.capabilities(visit.deps.tools, visit.owner)
        payout = await visit.write(lambda tx, log: _accept(tx, visit, log, order, own_e2e=able.own_e2e))
    except Invalid as wrong:
        return visit.wrong("admin/pix/payout-new.html", wrong, {"refusal": ""})
    except Refused as refused:
        return visit.render("admin/pix/payout-new.html", {"refusal": visit.told(refused)}, status=422)
    return visit.go(f"{visit.home}/payouts/{payout.id}")


async def show(visit: Visit) -> Response:
    """Show where a payout stands and why, what it did to the books, and whom it was told."""
    payout_id = visit.path("payout")
    facts = await visit.read(lambda tx: _story(tx, visit, payout_id))
    return visit.render("admin/pix/payout.html", facts)


async def decide(visit: Visit) -> Response:
    """Let a payout go that waits for a second person, or stop it."""
    payout_id, decision = visit.path("payout"), visit.path("decision")
    by = visit.who.operator.actor

    def decided(tx: Tx, log: Journalist) -> None:
        if decision == "approve":
            payout = service.approve(tx, payout_id, owner=visit.owner, by=by, now=visit.now)
        elif decision == "reject":
            reason = visit.field("reason")[:DESCRIPTION_MAX] or None
            payout = service.reject(
                tx, payout_id, owner=visit.owner, by=by, reason=reason, ids=visit.deps.ids, now=visit.now
            )
        else:
            raise NotFound("PAYOUT_NOT_FOUND", "No such payout.")
        log(
            f"payout.{decision}",
            f"payout:{payout_id}",
            before={"state": State.PENDING_APPROVAL.value},
            after={"state": payout.state.value},
        )

    await visit.write(decided)
    return visit.go(f"{visit.home}/payouts/{payout_id}", note="saved")


def _accept(tx: Tx, visit: Visit, log: Journalist, order: Order, *, own_e2e: bool) -> Payout:
    by = visit.who.operator.actor
    payout = service.accept(tx, order, owner=visit.owner, by=by, own_e2e=own_e2e, ids=visit.deps.ids, now=visit.now)
    after = {"units": payout.amount.units, "fee_units": payout.fee.units, "state": payout.state.value}
    log("payout.requested", f"payout:{payout.id}", after=after)
    return payout


async def _order(visit: Visit) -> Order:
    """Return what the form asks to be sent. Raises Invalid with every fault, or Refused for a code nobody can read."""
    faults: list[Fault] = []
    recipient, description = visit.field("recipient"), visit.field("description") or None
    asked = amount(visit, "amount", BRL, faults)
    if asked is None and not faults:
        faults.append(Fault("amount", "AMOUNT_REQUIRED", "Enter an amount."))
    if description is not None and len(description) > DESCRIPTION_MAX:
        faults.append(Fault("description", "TOO_LONG", "Enter at most 140 characters."))
    key = None
    if not recipient.startswith(CODE_BEGINS):
        try:
            key = detect(recipient)
        except Refused:
            faults.append(Fault("recipient", "KEY_INVALID", "Enter a PIX key or a copy-and-paste code."))
    if faults or asked is None:
        raise Invalid(faults)
    if key is not None:
        return Order(asked, ToKey(key.value, key.type), key.value, description)
    try:
        return await flow.order_by_code(visit.deps.tools, recipient, asked, owner=visit.owner, description=description)
    except Invalid as wrong:
        named = {"emv_code": "recipient"}
        raise Invalid(
            [Fault(named.get(fault.field, fault.field), fault.code, fault.message) for fault in wrong.faults]
        ) from None


def _story(tx: ReadTx, visit: Visit, payout_id: str) -> dict[str, Any]:
    owner = visit.owner
    payout = service.find(tx, payout_id, owner=owner)
    if payout is None:
        raise NotFound("PAYOUT_NOT_FOUND", "No such payout.")
    returns = queries.returns(tx, payout_id, owner=owner)
    sources = [("payout", payout_id), *(("payout_return", row["id"]) for row in returns)]
    journals = explorer.journals_of(tx, sources, owner=owner)
    mine = payout.created_by == visit.who.operator.actor
    return {
        "payout": payout,
        "returns": returns,
        "journals": journals,
        "lines": explorer.lines_of(tx, [journal["id"] for journal in journals]),
        "deliveries": history.deliveries(tx, owner=owner, limit=50, object_id=payout_id),
        "made_by": operators.name_of(tx, payout.created_by),
        "decided_by": operators.name_of(tx, payout.decided_by),
        "at_sandbox": payout.owner.mode is Mode.SANDBOX and payout.submitted_at is not None,
        "mine": mine and policy_of(tx, owner=owner).approve_distinct,
    }


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/payouts", index, "payouts.view"),
    Screen("GET", "/m/{merchant}/payouts.csv", export, "payouts.view"),
    Screen("GET", "/m/{merchant}/payouts/new", offer, "payouts.manage", fresh=True),
    Screen("POST", "/m/{merchant}/payouts/new", create, "payouts.manage", fresh=True),
    Screen("GET", "/m/{merchant}/payouts/{payout}", show, "payouts.view"),
    Screen("POST", "/m/{merchant}/payouts/{payout}/{decision}", decide, "payouts.approve", fresh=True),
)
