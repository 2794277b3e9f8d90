"""Money that arrived over PIX: a bank tells of it, or a person saw it. It counts once (pix-api.md §16.2)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.events import Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money, from_minor
from opentill.kernel.secret import Keyring
from opentill.merchants.fees import fee_of
from opentill.operators.reasons import Reason
from opentill.payments import booking, rules, service, store
from opentill.payments.completion import record_completed
from opentill.payments.documents import merchant_part
from opentill.payments.infractions import service as infractions
from opentill.payments.model import Payment, Receipt, Session
from opentill.payments.pix import refunds as pix_refunds
from opentill.payments.pix.service.locks import charge_of, locked_charge, locked_with_charge
from opentill.payments.pix.service.told import charge_part, receipt_part
from opentill.payments.review import queue as review
from opentill.pix import service as pix
from opentill.pix import store as charges
from opentill.pix.identifiers import (
    as_written,
    charge_id_of,
    is_rail_id,
    is_strict_end_to_end_id,
    payer_ispb,
    receipt_id,
)
from opentill.pix.model import BRL, GATEWAY, LIVE, Account, Charge, State
from opentill.pix.port import ProviderReceipt

PAYABLE: Final = frozenset({*LIVE, State.CONFLICTED, State.EXPIRED, State.CANCELLED})  # money completes it


def receive(tx: Tx, account: Account, arrived: ProviderReceipt, *, ids: Ids, keyring: Keyring, now: Instant) -> bool:
    """Book money the bank says has arrived (C5, C6, C11, C12, L14). Safe to repeat: it counts once.

    Return False for money that has to wait, because its charge is still being made: it is read again later. Whether
    it is counted is asked under the locks of the payment it was paid for and of the letters of its id: a person may
    be noting it just now, for this payment or another.
    """
    receipt, found = receipt_of(account, arrived), None
    if (charge_id := _charge_id(arrived)) is not None:
        found = locked_with_charge(tx, charge_id, receipt, keyring=keyring)
    if found is None:
        _, counted = tx.together(
            lambda tx: store.lock_letters(tx, receipt.ref), lambda tx: store.counted_receipt(tx, receipt)
        )
        if counted is None:
            _receive_direct(tx, account, arrived, receipt, ids=ids, now=now)
        return True
    payment, charge, counted = found
    if counted is not None:
        if not _is_accounted_for(tx, charge, counted):
            service.claimed(tx, payment, receipt, now=now)
        return True
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
    if not arrived.returns:
        return
    counted = store.counted_receipt(tx, receipt_of(account, arrived))
    arrived = replace(arrived, e2e_id=counted["ref"]) if counted else arrived
    for came in arrived.returns:
        pix_refunds.note_return(tx, account, arrived, came, ids=ids, keyring=keyring, now=now)
        infractions.note_return(tx, account, arrived.e2e_id, came, ids=ids, now=now)


def is_counted(tx: ReadTx, account: Account, arrived: ProviderReceipt) -> bool:
    """Tell whether money a bank speaks of is booked already: for the payment it was paid for, or otherwise and a person
    was shown that.
    """
    counted = store.counted_receipt(tx, receipt_of(account, arrived))
    if counted is None:
        return False
    charge_id = _charge_id(arrived)
    charge = charges.charge(tx, charge_id, owner=account.owner) if charge_id else None
    return charge is None or _is_accounted_for(tx, charge, counted)


def seen_by_hand(tx: Tx, payment: Payment, ref: str, amount: Money, *, now: Instant) -> Receipt | None:
    """Return money a person saw arrive over PIX, under the name its bank has for it, so that it counts once whoever
    tells of it first. None for money of another kind. The payment's lock is held.

    Who mistakes the capitals of an id that is counted names the same money; only banks tell such ids apart.
    """
    ref = as_written(ref)
    named = is_rail_id(ref) if payment.gateway == GATEWAY else is_strict_end_to_end_id(ref)
    if not named or amount.currency != BRL:
        return None
    charge, account = charge_of(tx, payment), pix.account_of(tx, owner=payment.owner)
    account_id = charge.account_id if charge else account.id if account else None
    if account_id is None:
        return None
    charge_id = charge.id if charge and charge.state in PAYABLE else None
    store.lock_letters(tx, ref)
    counted = store.same_letters(tx, ref, owner=payment.owner)
    ref = counted["ref"] if counted else ref
    return Receipt(payment.owner, GATEWAY, str(account_id), ref, amount, now, charge_id=charge_id)


def settle_accepted(tx: Tx, completed: Payment, receipt: Receipt, *, now: Instant) -> dict[str, Any]:
    """A person said that what came is what was asked for (C7): its charge is paid. The payment's lock is held.

    Return what the event of it says besides the payment: nothing where no charge waited for this.
    """
    charge = locked_charge(tx, receipt.charge_id, completed) if receipt.charge_id is not None else None
    if charge is None or charge.state not in PAYABLE:
        return {}
    paid, fee = pix.settle(tx, charge, State.COMPLETED, now=now), rules.fee_at_gateway(completed, receipt.amount)
    return {
        "pix_type": "pix.charge.paid",
        "charge": charge_part(paid),
        "receipt": receipt_part(receipt, charge.id, fee=fee, origin="charge", late=completed.late),
    }


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


def _complete(tx: Tx, payment: Payment, charge: Charge, receipt: Receipt, *, ids: Ids, now: Instant) -> None:
    """The exact amount arrived: the charge is paid, and with it the payment, unless that was paid otherwise."""
    fee, session = tx.together(
        lambda tx: fee_of(tx, payment.amount, gateway=GATEWAY, owner=payment.owner),
        lambda tx: store.open_session(tx, payment.id, owner=payment.owner),
    )
    conversion = service.conversion_at(tx, payment, GATEWAY, receipt.amount)
    match rules.receive(payment, receipt, fee=fee, charge=conversion, now=now):
        case rules.Parked():
            _hold(tx, payment, charge, receipt, now=now)
        case rules.Repeated():
            _receive_again(tx, payment, charge, receipt, ids=ids, now=now)
        case rules.Paid(completed):
            late = completed.late or charge.state in (State.EXPIRED, State.CANCELLED)
            _pay(tx, replace(completed, late=late), charge, receipt, session, was=payment, ids=ids, now=now)


def _pay(
    tx: Tx,
    paid: Payment,
    charge: Charge,
    receipt: Receipt,
    session: Session | None,
    *,
    was: Payment,
    ids: Ids,
    now: Instant,
) -> None:
    """Complete a payment and its charge (C5, C11)."""
    if not booking.complete(tx, receipt, paid, now=now):
        return
    completed = pix.settle(tx, charge, State.COMPLETED, now=now)
    service.end_try(tx, paid, session, was=was, paid_through=GATEWAY, now=now)
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
    booking.suspend(tx, receipt, Reason.OF_NOBODY, public_id=receipt_id(ids, now), now=now)


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
    if booking.hold(tx, receipt, rules.parked(payment, now=now), Reason.AMOUNT_DIFFERS, now=now):
        pix.settle(tx, charge, State.CONFLICTED, now=now)


def _is_accounted_for(tx: ReadTx, charge: Charge, counted: Row) -> bool:
    """Tell whether money paid for a charge is counted for its payment, or a person was shown that it is not."""
    return (
        charge.state is State.REJECTED  # counts as none
        or charge.payment_id == counted["payment_id"]
        or review.shows_claim(tx, charge.payment_id, counted["id"], owner=charge.owner)
    )


def _charge_id(arrived: ProviderReceipt) -> str | None:
    """Return the id of the charge money was paid for, if it is one of ours."""
    return charge_id_of(arrived.txid) if arrived.txid else None
