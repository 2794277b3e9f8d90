"""PIX money and payments: each function is one arrow of pix-api.md §16.2, in one transaction.

A charge belongs to exactly one payment. Locks are taken payment first, then charge.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.events import Event, record
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import NotFound, Refused
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, from_minor
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants.fees import fee_of
from opentill.merchants.model import Merchant
from opentill.payments import booking, rules, service, store
from opentill.payments.completion import record_completed
from opentill.payments.documents import merchant_part, payment_event
from opentill.payments.infractions import service as infractions
from opentill.payments.model import Order, Payment, PaymentStatus, Receipt, SessionState
from opentill.payments.pix import refunds as pix_refunds
from opentill.pix import service as pix
from opentill.pix import store as charges
from opentill.pix.identifiers import charge_id_of, is_rail_id, is_strict_end_to_end_id, payer_ispb, receipt_id
from opentill.pix.model import BRL, GATEWAY, LIVE, OVER, Account, Charge, State
from opentill.pix.policy import policy_of
from opentill.pix.port import ProviderCharge, ProviderReceipt

PAYABLE: Final = frozenset({*LIVE, State.CONFLICTED, State.EXPIRED, State.CANCELLED})  # money completes it


def intend_cash_in(
    tx: Tx,
    order: Order,
    *,
    merchant: Merchant,
    charge_id: str,
    description: str,
    expires_in_s: int,
    key: str | None,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Charge:
    """Store a payment with its charge before the bank is asked (C1). A charge of that id is gone on with."""
    known = charges.charge(tx, charge_id, owner=merchant.owner)
    if known is not None:
        return _taken_up(tx, known, _locked(tx, known, keyring=keyring), now=now)
    _check_limits(tx, order.amount, owner=merchant.owner)
    born = service.store_new(tx, order, merchant=merchant, ids=ids, keyring=keyring, now=now)
    payment = store.one(tx, "p.uuid = :uuid", owner=merchant.owner, keyring=keyring, uuid=born.uuid)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "The payment was not stored.")
    return pix.start_charge(
        tx,
        charge_id,
        payment.id,
        order.amount,
        announces=True,
        owner=merchant.owner,
        description=description,
        expires_in_s=expires_in_s,
        external_id=order.order_id,
        key=key,
        now=now,
    )


def _check_limits(tx: Tx, amount: Money, *, owner: Owner) -> None:
    policy = policy_of(tx, owner=owner)
    least, most = policy.charge_min_units, policy.charge_max_units
    if (least is not None and amount.units < least) or (most is not None and amount.units > most):
        raise Refused("LIMIT_EXCEEDED", "Transaction limit exceeded")


def intend_checkout_charge(tx: Tx, payment: Payment, *, charge_id: str, now: Instant) -> Charge:
    """Store the charge of a payment whose payer chose PIX; one there already is gone on with, unless it is over.

    The payment's lock is held. Raises Conflict where the payment cannot be paid now.
    """
    known = charge_of(tx, payment)
    replaceable = known is not None and (known.state in OVER or known.state is State.CONFLICTED)
    if known is not None and not (replaceable and payment.open):
        return _taken_up(tx, known, payment, now=now)
    rules.start(payment, GATEWAY, charge=payment.charge, now=now)
    return pix.start_charge(
        tx,
        charge_id,
        payment.id,
        payment.charged,
        announces=False,
        owner=payment.owner,
        description=payment.description or payment.order_id or "Pedido",
        expires_in_s=max(60, (payment.expires_at - now) // SECOND),
        now=now,
    )


def announce(tx: Tx, charge_id: str, made: ProviderCharge, *, payment: Payment, ids: Ids, now: Instant) -> Charge:
    """The bank has made the charge (C2). Safe to repeat. The payment's lock is held.

    What was made too late, because it was given up or its payment is over, is not announced but removed (C3).
    """
    charge = _charge(tx, charge_id, payment)
    if charge.state is State.REJECTED or (charge.state is State.CREATING and not payment.open):
        return pix.give_up(tx, charge, now=now)
    if charge.state is not State.CREATING:
        return charge
    active = pix.activate(tx, charge, made, now=now)
    shown = charge_part(active)
    if charge.announces:
        store.set_expiry(tx, payment, active.expires_at)
        alive = replace(payment, expires_at=active.expires_at)
        record(
            tx, payment_event("payment.pending", alive, at=now, pix_type="pix.charge.created", charge=shown), ids=ids
        )
    else:
        record(
            tx, payment_event("charge.created", payment, at=now, pix_type="pix.charge.created", charge=shown), ids=ids
        )
    reach("charge.announced")
    return active


def reject(tx: Tx, charge_id: str, *, payment: Payment, now: Instant) -> None:
    """End a charge that is not to be (C3), and have it removed at the bank if it was made: also one that refused
    may hold it, where what it refused was the second try, or what it made was another charge than asked for.

    A payment that was never announced ends as quietly as it began.
    """
    charge = _charge(tx, charge_id, payment)
    if charge.state is not State.CREATING:
        return
    pix.give_up(tx, charge, now=now)
    if charge.announces and payment.open:
        store.update(tx, rules.end(payment, PaymentStatus.FAILED, now=now))


def abandon(tx: Tx, charge: Charge, *, keyring: Keyring, now: Instant) -> bool:
    """Give up a charge nobody finished creating (C3); return whether it was, or somebody goes on with it."""
    payment = _locked(tx, charge, keyring=keyring)
    abandoned = charges.is_due(tx, charge, now=now)
    if abandoned:
        reject(tx, charge.id, payment=payment, now=now)
    return abandoned


def receive(tx: Tx, account: Account, arrived: ProviderReceipt, *, ids: Ids, keyring: Keyring, now: Instant) -> bool:
    """Book money the bank says has arrived (C5, C6, C11, C12, L14). Safe to repeat: it counts once.

    Return False for money that has to wait, because its charge is still being made: it is read again later.
    """
    receipt = receipt_of(account, arrived)
    if is_counted(tx, account, arrived):
        return True
    found = _charge_of(tx, account, arrived)
    if found is None:
        _receive_direct(tx, account, arrived, receipt, ids=ids, now=now)
        return True
    payment = _locked(tx, found, keyring=keyring)
    charge = _charge(tx, found.id, payment)
    direct, receipt = receipt, replace(receipt, charge_id=charge.id)
    match charge.state:
        case State.CREATING:
            return False
        case State.REJECTED:  # counts as none
            _receive_direct(tx, account, arrived, direct, ids=ids, now=now)
        case State.COMPLETED:
            _receive_again(tx, payment, charge, receipt, ids=ids, now=now)
        case _ if receipt.amount != charge.amount:
            _hold(tx, payment, charge, receipt, now=now)
        case _:
            _complete(tx, payment, charge, receipt, ids=ids, now=now)
    return True


def note_returns(
    tx: Tx, account: Account, arrived: ProviderReceipt, *, ids: Ids, keyring: Keyring, now: Instant
) -> None:
    """Book what the bank says went back of a receipt (R2, R3, D5, D8). Safe to repeat."""
    for came in arrived.returns:
        pix_refunds.note_return(tx, account, arrived, came, ids=ids, keyring=keyring, now=now)
        infractions.note_return(tx, account, arrived.e2e_id, came, ids=ids, now=now)


def is_counted(tx: ReadTx, account: Account, arrived: ProviderReceipt) -> bool:
    """Tell whether money a bank speaks of is booked already."""
    return store.counted_receipt(tx, receipt_of(account, arrived)) is not None


def expire(tx: Tx, charge_id: str, *, payment: Payment, ids: Ids, now: Instant) -> None:
    """End a charge whose time has passed, after one last read at the bank (C9), and its payment if that is over too."""
    charge = _charge(tx, charge_id, payment)
    if charge.state is not State.ACTIVE or now < charge.expires_at:
        return  # what is being paid waits for its receipt, or until that is given up (C13)
    expired = pix.settle(tx, charge, State.EXPIRED, now=now)
    _end_with_charge(tx, payment, expired, PaymentStatus.EXPIRED, ids=ids, now=now)
    reach("charge.expiring")


def cancel(tx: Tx, charge_id: str, *, payment: Payment, ids: Ids, now: Instant) -> None:
    """End a charge the bank has removed (C10), and its payment with it."""
    charge = _charge(tx, charge_id, payment)
    if charge.state not in LIVE:
        return
    removed = pix.settle(tx, charge, State.CANCELLED, now=now)
    _end_with_charge(tx, payment, removed, PaymentStatus.CANCELLED, ids=ids, now=now)
    reach("charge.cancelling")


def seen_by_hand(tx: Tx, payment: Payment, ref: str, amount: Money, *, now: Instant) -> Receipt | None:
    """Return money a person saw arrive over PIX, under the name its bank has for it, so that it counts once whoever
    tells of it first. None for money of another kind. The payment's lock is held.
    """
    named = is_rail_id(ref) if payment.gateway == GATEWAY else is_strict_end_to_end_id(ref)
    if not named or amount.currency != BRL:
        return None
    charge, account = charge_of(tx, payment), pix.account_of(tx, owner=payment.owner)
    account_id = charge.account_id if charge else account.id if account else None
    if account_id is None:
        return None
    charge_id = charge.id if charge and charge.state in PAYABLE else None
    return Receipt(payment.owner, GATEWAY, str(account_id), ref, amount, now, charge_id=charge_id)


def settle_accepted(tx: Tx, completed: Payment, receipt: Receipt, *, now: Instant) -> dict[str, Any]:
    """A person said that what came is what was asked for (C7): its charge is paid. The payment's lock is held.

    Return what the event of it says besides the payment: nothing where no charge waited for this.
    """
    charge = _charge(tx, receipt.charge_id, completed) if receipt.charge_id is not None else None
    if charge is None or charge.state not in PAYABLE:
        return {}
    paid, fee = pix.settle(tx, charge, State.COMPLETED, now=now), rules.fee_at_gateway(completed, receipt.amount)
    return {
        "pix_type": "pix.charge.paid",
        "charge": charge_part(paid),
        "receipt": receipt_part(receipt, charge.id, fee=fee, origin="charge", late=completed.late),
    }


def charge_of(tx: ReadTx, payment: Payment) -> Charge | None:
    """Return a payment's charge, whatever its state."""
    return charges.charge_of_payment(tx, payment.id, owner=payment.owner)


def receipt_of(account: Account, arrived: ProviderReceipt) -> Receipt:
    """Return a bank's receipt in the core's words."""
    return Receipt(
        owner=account.owner,
        gateway=GATEWAY,
        account=str(account.id),
        ref=arrived.e2e_id,
        amount=from_minor(arrived.amount_centavos, BRL),
        received_at=arrived.settled_at,
        payer_name=arrived.payer.name,
        payer_document=arrived.payer.document,
        payer_ispb=arrived.payer.ispb or payer_ispb(arrived.e2e_id),
        payer_bank_name=arrived.payer.bank,
    )


def charge_part(charge: Charge) -> dict[str, Any]:
    """Return what an event says of a charge (docs/events.md)."""
    return {
        "id": charge.id,
        "external_id": charge.external_id,
        "description": charge.description,
        "amount_units": charge.amount.units,
        "qr_code": charge.code or "",
        "created_at": charge.created_at,
        "expires_at": charge.expires_at,
        "expired_at": charge.updated_at if charge.state is State.EXPIRED else None,
        "cancelled_at": charge.updated_at if charge.state is State.CANCELLED else None,
    }


def receipt_part(
    receipt: Receipt, transaction_id: str, *, fee: Money, origin: str, late: bool = False
) -> dict[str, Any]:
    """Return what an event says of a receipt (docs/events.md)."""
    return {
        "transaction_id": transaction_id,
        "end_to_end_id": receipt.ref,
        "amount_units": receipt.amount.units,
        "fee_units": fee.units,
        "net_units": (receipt.amount - fee).units,
        "payer_name": receipt.payer_name,
        "payer_document": receipt.payer_document,
        "payer_ispb": receipt.payer_ispb,
        "payer_bank_name": receipt.payer_bank_name,
        "paid_at": receipt.received_at,
        "origin": origin,
        "late": late,
    }


def _complete(tx: Tx, payment: Payment, charge: Charge, receipt: Receipt, *, ids: Ids, now: Instant) -> None:
    """The exact amount arrived: the charge is paid, and with it the payment, unless that was paid otherwise."""
    fee = fee_of(tx, payment.amount, gateway=GATEWAY, owner=payment.owner)
    conversion = service.conversion_at(tx, payment, GATEWAY, receipt.amount)
    match rules.receive(payment, receipt, fee=fee, charge=conversion, now=now):
        case rules.Parked():
            _hold(tx, payment, charge, receipt, now=now)
        case rules.Repeated():
            _receive_again(tx, payment, charge, receipt, ids=ids, now=now)
        case rules.Paid(completed):
            late = completed.late or charge.state in (State.EXPIRED, State.CANCELLED)
            _pay(tx, replace(completed, late=late), charge, receipt, was=payment, ids=ids, now=now)


def _pay(tx: Tx, paid: Payment, charge: Charge, receipt: Receipt, *, was: Payment, ids: Ids, now: Instant) -> None:
    """Complete a payment and its charge (C5, C11)."""
    if not booking.complete(tx, receipt, paid, now=now):
        return
    completed = pix.settle(tx, charge, State.COMPLETED, now=now)
    session = store.open_session(tx, paid.id, owner=paid.owner)
    if session is not None and session.gateway == GATEWAY:
        store.update_session(tx, session, state=SessionState.PAID, now=now, provider_ref=receipt.ref)
    service.end_try(tx, paid, was=was, now=now)
    fee = rules.fee_at_gateway(paid, receipt.amount)
    record_completed(
        tx,
        paid,
        ids=ids,
        now=now,
        pix_type="pix.charge.paid",
        charge=charge_part(completed),
        receipt=receipt_part(receipt, charge.id, fee=fee, origin="charge", late=paid.late),
    )


def _receive_again(tx: Tx, payment: Payment, charge: Charge, receipt: Receipt, *, ids: Ids, now: Instant) -> None:
    """Money for a payment that is complete already: the merchant's, in a row of its own (C12)."""
    parts = {"merchant": merchant_part(payment), "charge": charge_part(charge)}
    _credit(tx, receipt, payment=payment, origin="repeat", parts=parts, ids=ids, now=now)
    if charge.state is not State.COMPLETED:
        pix.settle(tx, charge, State.COMPLETED, now=now)


def _receive_direct(
    tx: Tx, account: Account, arrived: ProviderReceipt, receipt: Receipt, *, ids: Ids, now: Instant
) -> None:
    """Money without a charge: the key's owner gets it; with no owner it waits in suspense (L14)."""
    owned = arrived.key is None or charges.owns_key(tx, account.id, arrived.key, owner=account.owner)
    if owned:
        parts = {"merchant": {"uuid": account.merchant_uuid, "account_id": account.owner.account_id}}
        _credit(tx, receipt, payment=None, origin="direct", parts=parts, ids=ids, now=now)
        return
    reason = "nobody owns the key it was paid to"
    booking.suspend(tx, receipt, reason, public_id=receipt_id(ids, now), now=now)


def _credit(
    tx: Tx,
    receipt: Receipt,
    *,
    payment: Payment | None,
    origin: str,
    parts: Mapping[str, Any],
    ids: Ids,
    now: Instant,
) -> None:
    """Book money that completes no payment (L1) and say so."""
    fee = fee_of(tx, receipt.amount, gateway=GATEWAY, owner=receipt.owner)
    public_id = receipt_id(ids, now)
    payment_id = payment.id if payment else None
    if not booking.credit(tx, receipt, fee=fee, origin=origin, payment_id=payment_id, public_id=public_id, now=now):
        return
    record(
        tx,
        Event(
            type="charge.paid",
            owner=receipt.owner,
            object_type="payment" if payment else "charge",
            object_id=payment.uuid if payment else public_id,
            at=now,
            document={**parts, "receipt": receipt_part(receipt, public_id, fee=fee, origin=origin)},
            pix_type="pix.charge.paid",
        ),
        ids=ids,
    )


def _hold(tx: Tx, payment: Payment, charge: Charge, receipt: Receipt, *, now: Instant) -> None:
    """Another amount arrived than was asked for (C6): it waits in `held` for a decision."""
    if booking.hold(tx, receipt, rules.parked(payment, now=now), "amount differs", now=now):
        pix.settle(tx, charge, State.CONFLICTED, now=now)


def _end_with_charge(
    tx: Tx, payment: Payment, charge: Charge, status: PaymentStatus, *, ids: Ids, now: Instant
) -> None:
    """End a payment together with its charge; a payment that goes on only hears of the charge."""
    pix_type = f"pix.charge.{charge.state.value}"
    shown = charge_part(charge)
    session = store.open_session(tx, payment.id, owner=payment.owner)
    may_end = payment.open and not payment.under_review
    over = may_end and (status is PaymentStatus.CANCELLED or now >= payment.expires_at)
    if not over or rules.awaited(payment, session, now=now):
        kind = f"charge.{charge.state.value}"
        record(tx, payment_event(kind, payment, at=now, pix_type=pix_type, charge=shown), ids=ids)
        return
    if session is not None:
        store.update_session(tx, session, state=SessionState.ABANDONED, now=now, reason=status.value)
    ended = rules.end(payment, status, now=now)
    store.update(tx, ended)
    record(tx, payment_event(f"payment.{status.value}", ended, at=now, pix_type=pix_type, charge=shown), ids=ids)


def _charge_of(tx: Tx, account: Account, arrived: ProviderReceipt) -> Charge | None:
    """Return the charge money was paid for."""
    charge_id = charge_id_of(arrived.txid) if arrived.txid else None
    return charges.charge(tx, charge_id, owner=account.owner) if charge_id else None


def _taken_up(tx: Tx, known: Charge, payment: Payment, *, now: Instant) -> Charge:
    """Return a charge to go on with; while its creation is not finished, nobody gives it up now."""
    charge = _charge(tx, known.id, payment)
    if charge.state is State.CREATING:
        pix.take_up(tx, charge, now=now)
    return charge


def _locked(tx: Tx, charge: Charge, *, keyring: Keyring) -> Payment:
    """Return a charge's payment, locked. Payments are locked before their charges."""
    payment = store.lock(tx, charge.payment_id, owner=charge.owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "A charge without its payment.")
    return payment


def _charge(tx: Tx, charge_id: str, payment: Payment) -> Charge:
    charge = charges.lock_charge(tx, charge_id, owner=payment.owner)
    if charge is None or charge.payment_id != payment.id:
        raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
    return charge
