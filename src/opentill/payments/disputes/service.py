"""Disputes: records of contested payments, with the merchant's money held meanwhile (merchant-api.md §6.4, §10.6).

A dispute is a fact: it is recorded whatever is left of the payment. What it holds may take the balance below zero.
"""

from dataclasses import replace
from typing import Any

from opentill import ledger
from opentill.db import Tx
from opentill.events import record
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.ledger import AVAILABLE, HELD, Account, Journal
from opentill.payments import rules, store
from opentill.payments.disputes import store as rows
from opentill.payments.disputes.model import ENDS, Dispute, DisputeStatus
from opentill.payments.documents import payment_event
from opentill.payments.model import Payment, PaymentStatus
from opentill.payments.refunds.rules import Target, shares


def open_dispute(
    tx: Tx,
    payment_id: int,
    *,
    owner: Owner,
    units: int | None = None,
    reason: str = "",
    ref: str | None = None,
    evidence_due_at: Instant | None = None,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Dispute:
    """Record that a completed payment, or *units* of it, is contested, and hold as much. Safe to repeat under a *ref*.

    Raises NotFound, Conflict for a payment that has not completed, Invalid for an amount it does not have.
    """
    payment = _locked(tx, payment_id, owner, keyring)
    if payment.status is not PaymentStatus.COMPLETED:
        raise Conflict(
            "INVALID_STATE", "The payment is %(status)s; only a completed one is disputed.", status=payment.status
        )
    receipt = store.completing_receipt(tx, payment.id, owner=owner)
    if receipt is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "No money completed this transaction.")
    known = (
        rows.one(tx, "d.gateway = :gateway and d.ref = :ref", owner, gateway=receipt.gateway, ref=ref) if ref else None
    )
    if known is not None:
        return known
    amount = payment.amount if units is None else Money(units, payment.amount.currency)
    if not 0 < amount.units <= payment.amount.units:
        named = {"most": payment.amount}
        wrong = Fault("amount", "INVALID_AMOUNT", "A dispute is of more than nothing and at most %(most)s.", named)
        raise Invalid([wrong])
    nothing = Money(0, amount.currency)
    untouched = replace(receipt, refunding=Money(0, receipt.amount.currency))
    whole = Target(untouched, replace(payment, refunding=nothing))
    charge = shares(whole, amount, fee_given=untouched.refunding, fee_back=False).charge
    dispute = rows.insert(
        tx, ids.uuid7(), receipt, amount, charge, reason=reason, ref=ref, evidence_due_at=evidence_due_at, now=now
    )
    _post(tx, dispute, "dispute.held", AVAILABLE, HELD, now=now)
    return _saved(tx, dispute, "dispute.created", keyring=keyring, ids=ids, now=now)


def send_evidence(tx: Tx, uuid: str, evidence: str, *, owner: Owner, keyring: Keyring, now: Instant) -> Dispute:
    """Note what an operator sent in answer. Raises NotFound, and Conflict unless the dispute is open."""
    dispute = _found(tx, uuid, owner, keyring)
    if dispute.status is not DisputeStatus.OPEN:
        raise Conflict(
            "INVALID_STATE", "The dispute is %(status)s; evidence is sent while it is open.", status=dispute.status
        )
    answered = replace(dispute, status=DisputeStatus.UNDER_REVIEW, evidence=evidence, updated_at=now)
    return _saved(tx, answered, None, keyring=keyring, ids=None, now=now)


def resolve(
    tx: Tx, uuid: str, status: DisputeStatus, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant
) -> Dispute:
    """End a dispute. What is lost goes back to the payer's bank; else the merchant has it again.

    Safe to repeat with the same end. Raises NotFound, and Conflict where it ended otherwise.
    """
    dispute = _found(tx, uuid, owner, keyring)
    if dispute.status is status and dispute.over:
        return dispute
    if dispute.over or status not in ENDS:
        raise Conflict(
            "INVALID_STATE",
            "The dispute is %(status)s and cannot become %(wanted)s.",
            status=dispute.status,
            wanted=status,
        )
    ended = replace(dispute, status=status, resolved_at=now, updated_at=now)
    receipt = store.lock_receipt(tx, dispute.receipt_id, owner=owner)
    if receipt is None:
        raise NotFound("DISPUTE_NOT_FOUND", "No such dispute.")
    if status is DisputeStatus.LOST:
        _post(tx, ended, "dispute.lost", HELD, rules.account_of(receipt), now=now)
        store.lose(tx, dispute.payment_id, dispute.amount, owner=owner)
    else:
        _post(tx, ended, "dispute.released", HELD, AVAILABLE, now=now)
    return _saved(tx, ended, "dispute.resolved", keyring=keyring, ids=ids, now=now)


def dispute_part(dispute: Dispute) -> dict[str, Any]:
    """Return what an event says of a dispute (docs/events.md)."""
    return {
        "id": dispute.id,
        "uuid": dispute.uuid,
        "amount_units": dispute.amount.units,
        "currency": dispute.amount.currency.code,
        "exponent": dispute.amount.currency.exponent,
        "reason": dispute.reason,
        "status": dispute.status.value,
    }


def _saved(tx: Tx, dispute: Dispute, kind: str | None, *, keyring: Keyring, ids: Ids | None, now: Instant) -> Dispute:
    """Save where a dispute stands, on its payment too, and say so."""
    rows.save(tx, dispute, now=now)
    store.set_dispute_status(tx, dispute.payment_id, owner=dispute.owner, now=now)
    if kind is not None and ids is not None:
        payment = _locked(tx, dispute.payment_id, dispute.owner, keyring)
        record(tx, payment_event(kind, payment, at=now, dispute=dispute_part(dispute)), ids=ids)
    return dispute


def _found(tx: Tx, uuid: str, owner: Owner, keyring: Keyring) -> Dispute:
    """Return a dispute, locked after its payment."""
    seen = rows.one(tx, "d.uuid = :uuid", owner, uuid=uuid)
    if seen is not None:
        _locked(tx, seen.payment_id, owner, keyring)
        current = rows.one(tx, "d.uuid = :uuid", owner, lock=True, uuid=uuid)
        if current is not None:
            return current
    raise NotFound("DISPUTE_NOT_FOUND", "No such dispute.")


def _locked(tx: Tx, payment_id: int, owner: Owner, keyring: Keyring) -> Payment:
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment


def _post(tx: Tx, dispute: Dispute, kind: str, source: Account, target: Account, *, now: Instant) -> None:
    """Move what a dispute holds, if it comes to anything at the gateway."""
    if dispute.charge.units:
        entries = (source.debit(dispute.charge), target.credit(dispute.charge))
        ledger.post(tx, Journal(dispute.owner, kind, "dispute", dispute.uuid, entries), now=now)
