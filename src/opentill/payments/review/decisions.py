"""What a person decides: the review queue's use cases (merchant-api.md §12.3). Permissions are the caller's matter.

An item is claimed first, so that two people cannot decide the same one. Every decision is in the audit log. Before one
about money, callers ask the gateway of a try whose outcome is unknown (flow.ask_about_item): "paid" wins.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.gateways.port import RefundAnswer, RefundState
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import options
from opentill.merchants.fees import fee_of
from opentill.operators import audit
from opentill.operators.queries import name_of
from opentill.operators.reasons import Ending
from opentill.payments import booking, rules, service, store
from opentill.payments.completion import record_completed
from opentill.payments.documents import payment_event
from opentill.payments.model import (
    BookedReceipt,
    Detail,
    Payment,
    PaymentStatus,
    Receipt,
    Refund,
    RefundStep,
    SessionState,
)
from opentill.payments.pix import service as pix
from opentill.payments.refunds import service as refunds
from opentill.payments.refunds import store as refund_rows
from opentill.payments.review import items, letters, submissions
from opentill.payments.review import queue as review
from opentill.payments.review.items import Actor as Actor
from opentill.payments.review.items import Item
from opentill.pix.model import GATEWAY as PIX

REASONS: Final = frozenset({"not_found", "wrong_amount", "already_used", "unreadable", "fraud", "other"})
QUESTION_MAX: Final = 300  # characters; as much as a letter takes of anybody's words


def claim(tx: Tx, item_id: int, *, owner: Owner, by: Actor, keyring: Keyring, now: Instant) -> Item:
    """Take an item for oneself, also from somebody else if one may. Raises NotFound, and Conflict where it is decided
    or somebody else's.
    """
    item = items.undecided(tx, item_id, owner)
    if item.claimed_by not in (None, by.name) and not by.may_take_over:
        raise Conflict("INVALID_STATE", "%(operator)s is deciding this.", operator=name_of(tx, item.claimed_by))
    items.set_claim(tx, item, by.name, now)
    if item.payment_id is not None:
        payment = _payment(tx, item, keyring)
        if payment.detail is Detail.AWAITING_VERIFICATION:
            store.update(tx, replace(payment, detail=Detail.PENDING_REVIEW, updated_at=now))
    items.note(tx, item, by, "review.claim", now=now, before={"claimed_by": item.claimed_by})
    return replace(item, claimed_by=by.name)


def release(tx: Tx, item_id: int, *, owner: Owner, by: Actor, now: Instant) -> Item:
    """Let an item go. Raises as `claim`."""
    item = items.claimed(tx, item_id, owner, by)
    items.set_claim(tx, item, None, now)
    items.note(tx, item, by, "review.release", now=now)
    return replace(item, claimed_by=None)


def approve(
    tx: Tx,
    item_id: int,
    *,
    owner: Owner,
    by: Actor,
    seen: Money,
    reason: str = "",
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Payment:
    """Complete a payment with money that a person has *seen*.

    Another amount than was asked needs the permission to override and a reason. Above the merchant's limit two
    people must approve: after the first one the item stays open. A try whose outcome is unknown goes on: what it
    brings is told as paid twice. Raises NotFound, Conflict, Forbidden, Invalid.
    """
    item = items.claimed(tx, item_id, owner, by)
    payment = _payment(tx, item, keyring)
    receipt = _held(tx, item)
    if receipt is not None and receipt.amount != seen:
        raise Invalid([Fault("seen", "INVALID_AMOUNT", "%(amount)s arrived.", {"amount": receipt.amount})])
    _require_approvable(item, payment, receipt)
    if seen != payment.charged:
        _require_override(payment, seen, by, reason)
    if _waits_for_another(tx, item, payment, by, now=now):
        return payment
    completed, arrived = _completed(tx, item, payment, receipt, seen, now=now)
    service.close_try(tx, completed, SessionState.PAID, now=now)
    submissions.decide(tx, completed.id, "approved", owner=owner, now=now)
    parts = pix.settle_accepted(tx, completed, arrived, now=now)
    record_completed(tx, completed, ids=ids, now=now, **parts)
    items.resolve(tx, item, by, Ending.APPROVED, reason, {"seen_units": seen.units}, now=now)
    reach("review.approved")
    return completed


def reject(
    tx: Tx,
    item_id: int,
    *,
    owner: Owner,
    by: Actor,
    final: bool,
    reason: str,
    note: str = "",
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Payment:
    """Say that the money does not count. The payer may try again, unless this is *final*.

    Money that is held stays so until it is given back (`return_receipt`). Raises NotFound, Invalid, and Conflict also
    while the outcome of a try is awaited, and where a payment to end has a code that can be paid: callers have the
    bank remove it first (flow.remove_code_of_item).
    """
    _require_reason(reason)
    item = items.claimed(tx, item_id, owner, by)
    payment = _turned_down(tx, item, by, Ending.REJECTED, note or reason, {"final": final}, keyring=keyring, now=now)
    if not payment.open:
        return payment
    if final:
        pix.require_no_code(tx, payment)
        ended = rules.end(payment, PaymentStatus.FAILED, decided=True, now=now)
        store.update(tx, ended)
        record(tx, payment_event("payment.failed", ended, at=now), ids=ids)
        return ended
    return _waits_again(tx, payment, now=now)


def payment_to_reject(
    tx: Tx, item_id: int, *, owner: Owner, by: Actor, reason: str, keyring: Keyring, now: Instant
) -> Payment:
    """Return the payment of an item that this person may reject for this reason. Raises as `reject`."""
    _require_reason(reason)
    payment = _payment(tx, items.claimed(tx, item_id, owner, by), keyring)
    _require_outcome(tx, payment, now=now)
    return payment


def _require_reason(reason: str) -> None:
    if reason not in REASONS:
        known = {"reasons": ", ".join(sorted(REASONS))}
        raise Invalid([Fault("reason", "VALIDATION_FAILED", "The reason is one of %(reasons)s.", known)])


def ask_payer(
    tx: Tx,
    item_id: int,
    question: str,
    *,
    pages: str,
    owner: Owner,
    by: Actor,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> None:
    """Ask a payer who says that they paid something: on the payment's page, which is below *pages*, and by mail.

    Only they have something to answer with: what they submitted, corrected. Raises as `claim`, and Invalid where
    nothing is asked.
    """
    if not 0 < len(question) <= QUESTION_MAX:
        named = {"most": QUESTION_MAX}
        wrong = Fault("question", "VALIDATION_FAILED", "Ask something, in at most %(most)s characters.", named)
        raise Invalid([wrong])
    item = items.claimed(tx, item_id, owner, by)
    if item.kind != review.SUBMISSION:
        raise Conflict("INVALID_STATE", "Only a payer who says that they paid can answer a question.")
    payment = _payment(tx, item, keyring)
    if not payment.open:
        raise Conflict("INVALID_STATE", "The payment is over; its page asks nobody any more.")
    items.set_question(tx, item, question, now)
    letters.post_question(tx, payment, question, f"{pages}/{payment.token}", ids=ids, keyring=keyring, now=now)
    items.note(tx, item, by, "review.ask_payer", now=now)


def give_back(tx: Tx, receipt_id: int, *, owner: Owner, by: Actor, reason: str, keyring: Keyring, now: Instant) -> None:
    """Decide what waits for a person because of money that goes back to its payer (`return_receipt`): an open payment
    waits for them again. Raises as `claim`, and Conflict while the outcome of a try is awaited.
    """
    for item in items.about(tx, receipt_id, owner, by):
        if item.kind not in (review.MISMATCH, review.LATE):
            items.resolve(tx, item, by, Ending.RETURNED, reason, {}, now=now)
            continue
        payment = _turned_down(tx, item, by, Ending.RETURNED, reason, {}, keyring=keyring, now=now)
        if payment.open:
            _waits_again(tx, payment, now=now)


def settle(tx: Tx, item_id: int, *, owner: Owner, by: Actor, reason: str, keyring: Keyring, now: Instant) -> None:
    """Close an item that moves no money of its own, such as a payment that was paid twice.

    Raises as `claim`, and Conflict where the payment itself waits for a decision: it would wait for ever.
    """
    item = items.claimed(tx, item_id, owner, by)
    waits = item.payment_id is not None and _payment(tx, item, keyring).under_review
    if waits or item.kind in (review.MISMATCH, review.LATE, review.SUBMISSION):
        raise Conflict("INVALID_STATE", "This waits to be approved or rejected.")
    items.resolve(tx, item, by, Ending.SETTLED, reason, {}, now=now)


def decide_refund(
    tx: Tx,
    item_id: int,
    *,
    owner: Owner,
    by: Actor,
    sent: bool,
    ref: str | None = None,
    reason: str = "",
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Refund:
    """Say that a refund by hand was sent, or cannot be. Raises as `claim`, and Conflict for what a gateway decides."""
    item = items.claimed(tx, item_id, owner, by)
    refund = refund_rows.one(tx, "r.uuid = :uuid", owner=owner, uuid=item.subject_id)
    if refund is None or refund.step is not RefundStep.BY_HAND:
        raise Conflict("INVALID_STATE", "Nobody sends this refund by hand.")
    state = RefundState.COMPLETED if sent else RefundState.FAILED
    answer = RefundAnswer(state, ref=ref, code=None if sent else "not_sent", message=None if sent else reason)
    concluded = refunds.conclude(tx, refund, answer, ids=ids, keyring=keyring, now=now)
    items.resolve(tx, item, by, Ending.SENT if sent else Ending.NOT_SENT, reason, {}, now=now)
    return concluded


def mark_paid(
    tx: Tx,
    payment_id: int,
    *,
    owner: Owner,
    by: Actor,
    seen: Money,
    ref: str,
    reason: str,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Payment:
    """Complete a payment with money a person saw arrive by another way than a gateway's word.

    *ref* is what its bank or wallet calls the money: it counts once with each gateway, in capitals or not, as two
    wallets may give two payments one number. Raises NotFound, Conflict for a payment that is complete or under review
    or takes two people, and Forbidden and Invalid as `approve`.
    """
    payment = _locked(tx, payment_id, owner, keyring)
    if payment.status is PaymentStatus.COMPLETED or payment.under_review:
        raise Conflict(
            "INVALID_STATE", "The payment is %(status)s and cannot be marked as paid.", status=payment.detail
        )
    if _takes_two(tx, payment):
        raise Conflict(
            "INVALID_STATE",
            "An amount like this takes two people: its payer says how they paid, and both approve that.",
        )
    if seen != payment.charged:
        _require_override(payment, seen, by, reason)
    receipt = pix.seen_by_hand(tx, payment, ref, seen, now=now) or _by_hand(payment, ref.upper(), seen, now)
    completed = _complete(tx, payment, receipt, now=now)
    service.end_try(tx, completed, store.open_session(tx, payment.id, owner=owner), was=payment, now=now)
    parts = pix.settle_accepted(tx, completed, receipt, now=now)
    record_completed(tx, completed, ids=ids, now=now, **parts)
    before, after_it = {"status": payment.status.value}, {"seen_units": seen.units}
    subject = f"payment {payment.uuid}"
    change = items.change(by, owner, "payment.mark_paid", subject, reason, before=before, after=after_it)
    audit.write(tx, change, now=now)
    return completed


def cancel(
    tx: Tx, payment_id: int, *, owner: Owner, by: Actor, reason: str, ids: Ids, keyring: Keyring, now: Instant
) -> Payment:
    """End a payment that waits for a person. Raises as `require_cancellable`, and Conflict where it has a code that
    can be paid.

    Callers ask the gateway of an open try first, and have the bank remove the code (flow.cancel_reviewed).
    """
    payment = _locked(tx, payment_id, owner, keyring)
    require_cancellable(tx, payment, by=by, now=now)
    pix.require_no_code(tx, payment)
    ended = rules.end(payment, PaymentStatus.CANCELLED, decided=True, now=now)
    service.close_try(tx, ended, SessionState.ABANDONED, now=now, reason="cancelled")
    submissions.decide(tx, payment.id, "rejected", owner=owner, now=now)
    store.update(tx, ended)
    record(tx, payment_event("payment.cancelled", ended, at=now), ids=ids)
    review.close_submissions(tx, payment, Ending.CANCELLED, now=now)
    audit.write(tx, items.change(by, owner, "payment.cancel", f"payment {payment.uuid}", reason), now=now)
    return ended


def require_cancellable(tx: ReadTx, payment: Payment, *, by: Actor, now: Instant) -> None:
    """Raise Conflict where a person cannot cancel a payment that waited for one: it waits no more, somebody else
    decides it, or money is held or may be on its way.
    """
    service.require_cancellable(tx, payment, decided=True, now=now)
    if not payment.under_review:
        raise Conflict("INVALID_STATE", "This was decided already.")
    items.require_free(tx, payment.id, payment.owner, by)
    if held := tx.all(_HELD, payment_id=payment.id, **payment.owner.columns):
        raise Conflict(
            "INVALID_STATE", "Money is held for this payment (%(count)s). Decide on it first.", count=len(held)
        )


def _turned_down(
    tx: Tx,
    item: Item,
    by: Actor,
    ending: Ending,
    reason: str,
    detail: Mapping[str, Any],
    *,
    keyring: Keyring,
    now: Instant,
) -> Payment:
    """Close the try whose money does not count, and its item; return the payment as it was."""
    payment = _payment(tx, item, keyring)
    _require_outcome(tx, payment, now=now)
    submissions.decide(tx, payment.id, "rejected", owner=item.owner, now=now)
    service.close_try(tx, payment, SessionState.DECLINED, now=now, reason=reason)
    items.resolve(tx, item, by, ending, reason, detail, now=now)
    return payment


def _require_outcome(tx: ReadTx, payment: Payment, *, now: Instant) -> None:
    """Raise Conflict while the outcome of an open payment's try is awaited: who paid once more could pay twice."""
    if payment.open and rules.awaited(payment, store.open_session(tx, payment.id, owner=payment.owner), now=now):
        raise Conflict(
            "TRY_UNCONFIRMED", "The last try to pay is still being confirmed. Decide again in a few minutes."
        )


def _waits_again(tx: Tx, payment: Payment, *, now: Instant) -> Payment:
    """Let the payer of a payment try again, as long as they had at first."""
    expires_at = after(now, _expiry_s(tx, payment.owner) * SECOND)
    waiting = replace(rules.waiting_again(payment, now=now), expires_at=expires_at)
    store.update(tx, waiting)
    return waiting


_HELD: Final = """
        select id from receipt
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode and state = 'held'
           and refunding_units < units
"""


def _require_approvable(item: Item, payment: Payment, receipt: BookedReceipt | None) -> None:
    if item.kind == review.SUBMISSION and payment.under_review:
        return
    if item.kind in (review.MISMATCH, review.LATE) and receipt is not None and _may_complete(payment):
        return
    raise Conflict("INVALID_STATE", "The payment is %(status)s; there is no money to approve.", status=payment.detail)


def _may_complete(payment: Payment) -> bool:
    return payment.status is not PaymentStatus.COMPLETED


def _require_override(payment: Payment, seen: Money, by: Actor, reason: str) -> None:
    asked = payment.charged
    if seen.currency != asked.currency or seen.units <= 0:
        known = {"currency": asked.currency.code}
        raise Invalid([Fault("seen", "INVALID_AMOUNT", "The amount is above zero and in %(currency)s.", known)])
    if not by.may_override:
        raise Forbidden(
            "PERMISSION_MISSING",
            "%(amount)s was asked; accepting another amount needs a permission.",
            amount=asked,
        )
    if not reason.strip():
        raise Invalid([Fault("reason", "VALIDATION_FAILED", "Say why another amount is accepted.")])


def _waits_for_another(tx: Tx, item: Item, payment: Payment, by: Actor, *, now: Instant) -> bool:
    """Tell whether a second person must approve; the first one's word is kept and the item let go."""
    if not _takes_two(tx, payment) or item.approved_by not in (None, by.name):
        return False
    items.keep_approval(tx, item, by)
    items.note(tx, item, by, "review.approve_first", now=now)
    return True


def _takes_two(tx: Tx, payment: Payment) -> bool:
    limit = options.of_merchant(tx, payment.owner).two_approvals_from
    return bool(limit) and payment.amount.units >= limit


def _completed(
    tx: Tx, item: Item, payment: Payment, receipt: BookedReceipt | None, seen: Money, *, now: Instant
) -> tuple[Payment, Receipt]:
    """Complete a payment with held money or, where there is none, with what its payer submitted; return both."""
    if receipt is None:
        submission = submissions.open_one(tx, payment.id, owner=item.owner)
        if submission is None:
            raise Conflict("INVALID_STATE", "Nothing was submitted.")
        by_hand = Receipt(item.owner, submission.gateway, "", submission.ref, seen, now)
        arrived = pix.seen_by_hand(tx, payment, submission.ref, seen, now=now) or by_hand
        return _complete(tx, payment, arrived, now=now), arrived
    fee = fee_of(tx, payment.amount, gateway=receipt.gateway, owner=payment.owner)
    charge = payment.charge if payment.charge else service.conversion_at(tx, payment, receipt.gateway, receipt.amount)
    completed = rules.completed(payment, receipt, fee=fee, charge=charge, now=now)
    booking.accept(tx, receipt, completed, now=now)
    return completed, store.told_receipt(tx, receipt.id, owner=receipt.owner)


def _complete(tx: Tx, payment: Payment, receipt: Receipt, *, now: Instant) -> Payment:
    fee = fee_of(tx, payment.amount, gateway=receipt.gateway, owner=payment.owner)
    by_hand = receipt.gateway != PIX and (payment.by_hand or receipt.gateway == rules.MANUAL)
    completed = rules.completed(payment, receipt, fee=fee, charge=payment.charge, by_hand=by_hand, now=now)
    if not booking.complete(tx, receipt, completed, accepted=True, now=now):
        raise Conflict("INVALID_STATE", "%(ref)s has been counted already.", ref=receipt.ref)
    return completed


def _by_hand(payment: Payment, ref: str, seen: Money, now: Instant) -> Receipt:
    """Return money that came past every gateway's interface; what no gateway knows goes back by hand too."""
    gateway = payment.gateway if payment.gateway and payment.by_hand else rules.MANUAL
    return Receipt(payment.owner, gateway, "", ref, seen, now)


def _held(tx: Tx, item: Item) -> BookedReceipt | None:
    if item.receipt_id is None:
        return None
    receipt = store.lock_receipt(tx, item.receipt_id, owner=item.owner)
    return receipt if receipt is not None and receipt.state == "held" and not receipt.refunding.units else None


def _expiry_s(tx: ReadTx, owner: Owner) -> int:
    row = tx.one_or_none("select expiry_s from merchant where id = :id", id=owner.merchant_id)
    seconds: int = row["expiry_s"] if row else 0
    return seconds


def _payment(tx: Tx, item: Item, keyring: Keyring) -> Payment:
    if item.payment_id is None:
        raise Conflict("INVALID_STATE", "This is about no payment.")
    return _locked(tx, item.payment_id, item.owner, keyring)


def _locked(tx: Tx, payment_id: int, owner: Owner, keyring: Keyring) -> Payment:
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment
