"""Refunds' use cases: one function, one transaction (merchant-api.md §9.6, §10.3).

Locks are taken payment first, then receipt, then refund. What a refund would take above what was paid is refused by
the totals on payment and receipt, which the database checks; no answer of a gateway moves a refund twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from opentill import ledger
from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.gateways.port import RefundAnswer, RefundOrder, RefundState, RefundTerms
from opentill.kernel.clock import Instant, after
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, render
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.ledger import AVAILABLE
from opentill.ledger import queries as books
from opentill.merchants import options
from opentill.operators.reasons import Reason
from opentill.payments import store
from opentill.payments.documents import payment_event, refund_part
from opentill.payments.infractions import service as infractions
from opentill.payments.model import BookedReceipt, Hold, Payment, Refund, RefundStatus, RefundStep
from opentill.payments.pix import refund_events
from opentill.payments.refunds import rules
from opentill.payments.refunds import store as rows
from opentill.payments.refunds.rules import Objection, RefundRefused, Shares, Target
from opentill.payments.review import queue as review
from opentill.pix import service as pix
from opentill.pix.identifiers import refund_id
from opentill.pix.model import GATEWAY as PIX


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks to be given back."""

    uuid: str
    units: int | None = None  # of the payment's currency; all that is left where there are none
    reason: str = ""
    origin: str = "merchant"
    public_id: str | None = None  # the rail's name for it
    detail: str = "{}"  # what the rail remembers of it
    charge: Money | None = None  # instead of *units*, of the money that came


def request(
    tx: Tx,
    payment_id: int,
    wish: Wish,
    *,
    terms_of: Callable[[str], RefundTerms],
    owner: Owner,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Refund:
    """Write down that money of a completed payment is to go back, before its gateway is asked.

    Raises NotFound, and RefundRefused where it cannot go back.
    """
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "No such transaction.")
    rules.require_completed(payment)
    receipt = store.completing_receipt(tx, payment.id, owner=owner)
    if receipt is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "No money completed this transaction.")
    terms = terms_of(receipt.gateway)
    refund = intend(tx, Target(receipt, payment), _named(wish, receipt, ids, now), terms=terms, now=now)
    tell(tx, "refund.created", refund, _payment(tx, refund, keyring), ids=ids, now=now)
    if terms.at_once:
        return conclude(tx, refund, RefundAnswer(RefundState.COMPLETED), ids=ids, keyring=keyring, now=now)
    return refund


def intend(
    tx: Tx, target: Target, wish: Wish, *, terms: RefundTerms, call_over: int = rules.CALL_OVER, now: Instant
) -> Refund:
    """Store a refund of locked money and reserve its amount. Raises RefundRefused where it cannot go back.

    Its caller calls the gateway, and is done after *call_over*; with 0 a worker does so at once.
    """
    units = wish.units if wish.charge is None else rules.asked(target, wish.charge).units
    amount = rules.agree(target, units, terms=terms, now=now)
    receipt, chosen = target.receipt, options.of_merchant(tx, target.receipt.owner)
    fee_back = chosen.refund_fees if terms.gives_fee_back is None else terms.gives_fee_back
    refund = rows.insert(
        tx,
        wish.uuid,
        receipt,
        rules.shares(target, amount, fee_given=rows.fee_given(tx, receipt), fee_back=fee_back, charge=wish.charge),
        payment_id=target.payment.id if target.payment else None,
        public_id=wish.public_id,
        origin=wish.origin,
        step=rules.first_step(terms),
        hold=Hold.HELD if terms.holds or chosen.refund_balance_check else Hold.NONE,
        reason=wish.reason,
        detail=wish.detail,
        next_check_at=None if terms.by_hand else after(now, call_over),
        now=now,
    )
    rows.move(tx, refund, refunding=1, refunded=0, now=now)
    if refund.hold is Hold.HELD:
        _post(tx, rules.held_journal(refund), now=now)
        _require_balance(tx, refund, target.left)
    if terms.by_hand and not terms.at_once:
        review.open_refund(tx, refund, Reason.SENT_BY_HAND, now=now)
    reach("refund.written")
    return refund


def intend_return(tx: Tx, receipt: BookedReceipt, wish: Wish, *, terms: RefundTerms, ids: Ids, now: Instant) -> Refund:
    """Store that locked money nobody accepted goes back, all of it. Raises RefundRefused where it cannot."""
    target, wish = Target(receipt, None), _named(wish, receipt, ids, now)
    amount = rules.agree(target, None, terms=terms, now=now)
    refund = rows.insert(
        tx,
        wish.uuid,
        receipt,
        Shares(amount, amount, Money(0, amount.currency)),
        payment_id=None,
        public_id=wish.public_id,
        origin=wish.origin,
        step=rules.first_step(terms),
        hold=Hold.PARKED,
        reason=wish.reason,
        detail=wish.detail,
        next_check_at=None if terms.by_hand else after(now, rules.CALL_OVER),
        now=now,
    )
    rows.move(tx, refund, refunding=1, refunded=0, now=now)
    if terms.by_hand:
        review.open_refund(tx, refund, Reason.SENT_BY_HAND, now=now)
    return refund


def intend_receipt(tx: Tx, receipt: BookedReceipt, wish: Wish, *, terms: RefundTerms, ids: Ids, now: Instant) -> Refund:
    """Store that locked money which completed no payment goes back: all that is held, or what is left of the rest.

    Raises Conflict for other money, and RefundRefused where it cannot.
    """
    if infractions.is_contested(tx, receipt.id):
        raise Conflict("INVALID_STATE", "This money is contested: it goes back as its bank decides.")
    asked = replace(terms, at_once=False)
    if receipt.state == "held":
        return intend_return(tx, receipt, wish, terms=replace(asked, window=None), ids=ids, now=now)
    if receipt.state != "booked" or receipt.origin == "charge":
        raise Conflict("INVALID_STATE", "Only money that is held, or that came once more, goes back so.")
    return intend(tx, Target(receipt, None), _named(wish, receipt, ids, now), terms=asked, now=now)


def conclude(tx: Tx, refund: Refund, answer: RefundAnswer, *, ids: Ids, keyring: Keyring, now: Instant) -> Refund:
    """Apply what the gateway, or an operator, said of a refund. Safe to repeat, in any order, by any number."""
    if refund.payment_id is not None:
        store.lock(tx, refund.payment_id, owner=refund.owner, keyring=keyring)
    receipt = store.lock_receipt(tx, refund.receipt_id, owner=refund.owner)
    current = rows.one(tx, "r.id = :id", owner=refund.owner, id=refund.id)
    if receipt is None or current is None:
        raise NotFound("REFUND_NOT_FOUND", "No such refund.")
    if not current.open:
        return _contradicted(tx, current, answer, now=now)
    after_answer = rules.answered(current, answer, now=now)
    rows.update(tx, after_answer, next_check_at=rules.next_check(current, now=now))
    match after_answer.status:
        case RefundStatus.COMPLETED:
            rows.move(tx, after_answer, refunding=0, refunded=1, now=now)
            _post(tx, rules.completed_journal(after_answer, receipt), now=now)
            if after_answer.hold is Hold.PARKED and after_answer.gateway == PIX:
                pix.free_conflicted(tx, receipt.id, owner=receipt.owner, now=now)
        case RefundStatus.FAILED:
            rows.move(tx, after_answer, refunding=-1, refunded=0, now=now)
            if after_answer.hold is Hold.PARKED:
                review.open_refund(tx, after_answer, Reason.NOT_RETURNED, now=now)
            elif after_answer.hold is Hold.HELD:
                _post(tx, rules.released_journal(after_answer), now=now)
        case RefundStatus.PENDING:
            _raise_alarm(tx, after_answer, now=now)
            return after_answer
    tell_all(tx, f"refund.{after_answer.status.value}", after_answer, ids=ids, keyring=keyring, now=now)
    reach("refund.concluding")
    return after_answer


def order_of(tx: ReadTx, refund: Refund) -> RefundOrder:
    """Return a refund as its gateway sees it."""
    receipt = store.receipt(tx, refund.receipt_id, owner=refund.owner)
    if receipt is None:
        raise NotFound("REFUND_NOT_FOUND", "A refund of nothing.")
    return RefundOrder(
        reference=refund.uuid,
        public_id=refund.public_id,
        owner=refund.owner,
        account=receipt.account,
        receipt_ref=receipt.ref,
        received=receipt.amount,
        amount=refund.charge,
        reason=refund.reason,
        detail=refund.detail,
        asked_at=refund.created_at,
    )


def tell_all(tx: Tx, kind: str, refund: Refund, *, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Record what became of a refund, with its payment as the refund left it."""
    payment = None if refund.payment_id is None else _payment(tx, refund, keyring)
    tell(tx, kind, refund, payment, ids=ids, now=now)


def tell(tx: Tx, kind: str, refund: Refund, payment: Payment | None, *, ids: Ids, now: Instant) -> None:
    """Record what became of a refund. On PIX the rail's dialect hears of it too, also where there is no payment."""
    if refund.gateway == PIX:
        refund_events.tell(tx, kind, refund, payment, ids=ids, now=now)
    elif payment is not None:
        record(tx, payment_event(kind, payment, at=now, refund=refund_part(refund)), ids=ids)


def _payment(tx: ReadTx, refund: Refund, keyring: Keyring) -> Payment | None:
    """Return the payment as the refund left it."""
    return store.one(tx, "p.id = :id", owner=refund.owner, keyring=keyring, id=refund.payment_id)


def _named(wish: Wish, receipt: BookedReceipt, ids: Ids, now: Instant) -> Wish:
    """Return the wish with the name its refund has on the rail."""
    if receipt.gateway != PIX or wish.public_id is not None:
        return wish
    return replace(wish, public_id=refund_id(ids, now))


def _require_balance(tx: Tx, refund: Refund, left: Money) -> None:
    """Raise RefundRefused where the merchant's money did not cover what was put aside, less the fee that comes back.

    The journal's lock on the balance is held: of two refunds, the second one sees what the first took.
    """
    balance = books.balance(tx, AVAILABLE, refund.charge.currency.code, owner=refund.owner)
    if (balance + refund.fee).units < 0:
        raise RefundRefused(
            Objection.BALANCE,
            "The balance does not cover this refund; %(rest)s is left to refund.",
            left,
            rest=f"{render(left)} {left.currency.code}",
        )


def _contradicted(tx: Tx, refund: Refund, answer: RefundAnswer, *, now: Instant) -> Refund:
    """Return a refund that is over. Proof that a failed one went through after all is for a person."""
    if refund.status is RefundStatus.FAILED and answer.state is RefundState.COMPLETED:
        review.open_refund(tx, refund, Reason.WENT_THROUGH, now=now)
    return refund


def _raise_alarm(tx: Tx, refund: Refund, *, now: Instant) -> None:
    """Show a person, once, what nobody has known of for long. The gateway is asked on."""
    if refund.step is not RefundStep.BY_HAND and now >= after(refund.created_at, rules.ALARM):
        review.open_refund(tx, refund, Reason.DOUBTFUL, now=now)


def _post(tx: Tx, journal: ledger.Journal, *, now: Instant) -> None:
    """Post a journal, if anything moves: converted, a small part can come to nothing."""
    if any(entry.amount.units for entry in journal.entries):
        ledger.post(tx, journal, now=now)
