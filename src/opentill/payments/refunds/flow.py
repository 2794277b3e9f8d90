"""Giving money back: intend, call, confirm. A time-out means *unknown*; the gateway is asked until it knows.

The first call and every repeat carry the refund's UUID, so that a gateway can tell them apart from another refund.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from opentill.db import Tx
from opentill.gateways.port import RefundAnswer, Refunder, RefundOrder, RefundState, RefundTerms
from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.merchants import gateways
from opentill.payments import store
from opentill.payments.model import BookedReceipt, Refund, RefundStep
from opentill.payments.refunds import rules as refund_rules
from opentill.payments.refunds import service as refunds
from opentill.payments.refunds import store as rows
from opentill.payments.refunds.service import Wish
from opentill.payments.rules import MANUAL
from opentill.payments.tools import Tools

CALL_S: Final = 10  # a gateway that takes longer is asked again later
BATCH: Final = 100
UNKNOWN: Final = RefundAnswer(RefundState.UNKNOWN)

Finish = Callable[[Tx, Refund], None]


async def give_back(
    tools: Tools,
    payment_id: int,
    wish: Wish,
    *,
    owner: Owner,
    claim: Callable[[Tx, str], str] = lambda _tx, proposed: proposed,
    finish: Finish = lambda _tx, _refund: None,
) -> Refund:
    """Give back money of a completed payment and say how that stands. Safe to repeat under one UUID.

    *claim* runs in the transaction that stores the refund, before it; it may answer the UUID of an earlier attempt,
    which is gone on with. *finish* runs in the last transaction. Raises as `refunds.request`.
    """

    def intend(tx: Tx) -> tuple[Refund, bool]:
        uuid = claim(tx, wish.uuid)
        known = rows.one(tx, "r.uuid = :uuid", owner=owner, uuid=uuid)
        if known is not None:
            return known, False
        refund = refunds.request(
            tx,
            payment_id,
            wish,
            terms_of=lambda slug: terms_of(tx, tools, slug, owner),
            owner=owner,
            ids=tools.ids,
            keyring=tools.keyring,
            now=tools.clock.now(),
        )
        return refund, True

    refund, is_new = await tools.db.write(intend)
    reach("refund.intended")
    if is_new and refund.step is RefundStep.CALLING:
        return await _ask(tools, refund, first=True, until=_first_until(refund), finish=finish)
    return await finished(tools, refund, finish)


async def return_receipt(
    tools: Tools,
    receipt_id: int,
    reason: str,
    *,
    owner: Owner,
    claim: Callable[[Tx], None] = lambda _tx: None,
    noted: Callable[[Tx, BookedReceipt, Refund], None] = lambda _tx, _receipt, _refund: None,
) -> Refund:
    """Give back money that completed no payment: held because nobody accepted it, or paid once more.

    *claim* runs in the transaction that stores the refund, before it, and *noted* after it. Raises NotFound, Conflict,
    and RefundRefused.
    """
    wish = Wish(tools.ids.uuid7(), reason=reason, origin="operator")

    def intend(tx: Tx) -> Refund:
        claim(tx)
        receipt = store.lock_receipt(tx, receipt_id, owner=owner)
        if receipt is None:
            raise NotFound("RECEIPT_NOT_FOUND", "No such money.")
        terms = terms_of(tx, tools, receipt.gateway, owner)
        refund = refunds.intend_receipt(tx, receipt, wish, terms=terms, ids=tools.ids, now=tools.clock.now())
        refunds.tell_all(tx, "refund.created", refund, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now())
        noted(tx, receipt, refund)
        return refund

    refund = await tools.db.write(intend)
    if refund.step is RefundStep.CALLING:
        return await _ask(tools, refund, first=True, until=_first_until(refund), finish=lambda _tx, _refund: None)
    return refund


async def finished(tools: Tools, refund: Refund, finish: Finish) -> Refund:
    """Do the last step for a refund as it stands now."""

    def end(tx: Tx) -> Refund:
        current = rows.one(tx, "r.id = :id", owner=refund.owner, id=refund.id) or refund
        finish(tx, current)
        return current

    return await tools.db.write(end)


async def check_due_refunds(tools: Tools, lanes: Lanes[str] | None = None) -> int:
    """Ask the gateways of the refunds that are due; return how many there were.

    Each gateway has a lane of its own; for PIX, each bank account.
    """
    lanes = lanes or Lanes[str]()
    due = await tools.db.read(lambda tx: rows.due(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(due, lambda found: found.lane, lambda found: _check(tools, found.refund))


def terms_of(tx: Tx, tools: Tools, slug: str, owner: Owner) -> RefundTerms:
    """Return how a gateway gives money back: a manual one by an operator's hand, one that is gone not at all."""
    if slug == MANUAL:  # an operator saw the money come, by no gateway at all
        return RefundTerms(by_hand=True)
    manual = gateways.manual(tx, slug, owner=owner)
    if manual is not None:
        return RefundTerms(by_hand=True, at_once=manual.auto_complete_refunds)
    refunder = tools.refunder(slug)
    return refunder.refund_terms if refunder else RefundTerms(possible=False)


async def _check(tools: Tools, refund: Refund) -> None:
    """Ask about one refund, unless somebody else does: two workers never call for the same one."""
    until = after(tools.clock.now(), refund_rules.CHECK_OVER)
    if await tools.db.write(lambda tx: rows.take(tx, refund, until=until)):
        reach("refund.taken")
        await _ask(tools, refund, until=until, finish=lambda _tx, _refund: None)


def _first_until(refund: Refund) -> Instant:
    """Return when somebody else may begin to ask about a refund that was just written down."""
    return after(refund.created_at, refund_rules.CALL_OVER)


async def _ask(tools: Tools, refund: Refund, *, first: bool = False, until: Instant, finish: Finish) -> Refund:
    """Call the gateway and apply what it says. What it certainly never got is sent again under the same name.

    Nothing is sent that might still be on its way after *until*: then somebody else may be told that it never came.
    """
    order = await tools.db.read(lambda tx: refunds.order_of(tx, refund))
    refunder = tools.refunder(refund.gateway)
    answer = await _called(refunder, order, tools, until=until, send=first)
    if not first and answer.state is RefundState.ABSENT:
        answer = await _called(refunder, order, tools, until=until, send=True)
    reach("refund.answered")

    def apply(tx: Tx) -> Refund:
        concluded = refunds.conclude(tx, refund, answer, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now())
        finish(tx, concluded)
        return concluded

    concluded = await tools.db.write(apply)
    reach("refund.concluded")
    return concluded


async def _called(
    refunder: Refunder | None, order: RefundOrder, tools: Tools, *, until: Instant, send: bool
) -> RefundAnswer:
    if refunder is None:  # the gateway is no longer there; it has not said no
        return UNKNOWN
    if not order.amount.units:  # converted, the part came to nothing
        return RefundAnswer(RefundState.COMPLETED)
    if send and after(tools.clock.now(), CALL_S * SECOND) > until:
        return UNKNOWN
    call = refunder.refund if send else refunder.fetch_refund
    try:
        return await asyncio.wait_for(call(order, now=tools.clock.now()), timeout=CALL_S)
    except Exception:  # whatever it is: it has not said no
        return UNKNOWN
