"""A payment's charge: begun, made known, given up, ended without money (pix-api.md §16.2)."""

from typing import NamedTuple

from opentill.db import Tx
from opentill.events import record
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.merchants.model import Merchant
from opentill.payments import rules, service, store
from opentill.payments.documents import payment_event
from opentill.payments.model import Order, Payment, PaymentStatus
from opentill.payments.pix.service.locks import charge_of, locked, locked_both, locked_charge
from opentill.payments.pix.service.told import charge_part
from opentill.pix import service as pix
from opentill.pix import store as charges
from opentill.pix.model import GATEWAY, LIVE, OVER, Account, Charge, State
from opentill.pix.port import ProviderCharge


class Intent(NamedTuple):
    """A charge that is stored, and the account whose bank is to make it."""

    charge: Charge
    account: Account


def intend_cash_in(
    tx: Tx,
    order: Order,
    *,
    merchant: Merchant,
    charge_id: str,
    begun: bool,
    description: str,
    expires_in_s: int,
    found: charges.FoundWay | None,
    key: str | None,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Intent:
    """Store a payment with its charge before the bank is asked (C1). One *begun* before is gone on with.

    *found* is where the merchant is paid, at the *key* if one was named.
    """
    known = charges.charge(tx, charge_id, owner=merchant.owner) if begun else None
    if known is not None:
        return _taken_up(tx, known, locked(tx, known, keyring=keyring), now=now)
    way = pix.way_in(found, order.amount, key=key)
    payment = service.store_new(tx, order, merchant=merchant, ids=ids, keyring=keyring, now=now)
    charge = pix.start_charge(
        tx,
        charge_id,
        order.amount,
        way,
        payment_id=payment.id,
        payment_uuid=payment.uuid,
        announces=True,
        description=description,
        expires_in_s=expires_in_s,
        external_id=order.order_id,
        now=now,
    )
    return Intent(charge, way.account)


def intend_checkout_charge(tx: Tx, payment: Payment, *, charge_id: str, now: Instant) -> Intent:
    """Store the charge of a payment whose payer chose PIX; one there already is gone on with, unless it is over.

    The payment's lock is held. Raises Conflict where the payment cannot be paid now.
    """
    known = charge_of(tx, payment)
    replaceable = known is not None and (known.state in OVER or known.state is State.CONFLICTED)
    if known is not None and not (replaceable and payment.open):
        return _taken_up(tx, known, payment, now=now)
    rules.start(payment, GATEWAY, charge=payment.charge, now=now)
    way = pix.way_in(charges.find_way(tx, None, owner=payment.owner), payment.charged)
    charge = pix.start_charge(
        tx,
        charge_id,
        payment.charged,
        way,
        payment_id=payment.id,
        payment_uuid=payment.uuid,
        announces=False,
        description=payment.description or payment.order_id or "Pedido",
        expires_in_s=max(60, (payment.expires_at - now) // SECOND),
        now=now,
    )
    return Intent(charge, way.account)


def announce(tx: Tx, known: Charge, made: ProviderCharge, *, ids: Ids, keyring: Keyring, now: Instant) -> Charge:
    """The bank has made the charge (C2). Safe to repeat.

    What was made too late, because it was given up or its payment is over, is not announced but removed (C3).
    """
    payment, charge = locked_both(tx, known, keyring=keyring)
    if charge.state is State.REJECTED or (charge.state is State.CREATING and not payment.open):
        return pix.give_up(tx, charge, now=now)
    if charge.state is not State.CREATING:
        return charge
    active = pix.activate(tx, charge, made, now=now)
    shown = charge_part(active)
    if charge.announces:
        store.set_expiry(tx, payment, active.expires_at)
    kind = "payment.pending" if charge.announces else "charge.created"
    record(tx, payment_event(kind, payment, at=now, pix_type="pix.charge.created", charge=shown), ids=ids)
    reach("charge.announced")
    return active


def reject(tx: Tx, charge_id: str, *, payment: Payment, now: Instant) -> None:
    """End a charge that is not to be (C3), and have it removed at the bank if it was made: also one that refused
    may hold it, where what it refused was the second try, or what it made was another charge than asked for.

    A payment that was never announced ends as quietly as it began.
    """
    charge = locked_charge(tx, charge_id, payment)
    if charge.state is not State.CREATING:
        return
    pix.give_up(tx, charge, now=now)
    if charge.announces and payment.open:
        store.update(tx, rules.end(payment, PaymentStatus.FAILED, now=now))


def abandon(tx: Tx, charge: Charge, *, keyring: Keyring, now: Instant) -> bool:
    """Give up a charge nobody finished creating (C3); return whether it was, or somebody goes on with it."""
    payment = locked(tx, charge, keyring=keyring)
    abandoned = charges.is_due(tx, charge, now=now)
    if abandoned:
        reject(tx, charge.id, payment=payment, now=now)
    return abandoned


def expire(tx: Tx, charge_id: str, *, payment: Payment, ids: Ids, now: Instant) -> None:
    """End a charge whose time has passed, after one last read at the bank (C9), and its payment if that is over too."""
    charge = locked_charge(tx, charge_id, payment)
    if charge.state is not State.ACTIVE or now < charge.expires_at:
        return  # what is being paid waits for its receipt, or until that is given up (C13)
    expired = pix.settle(tx, charge, State.EXPIRED, now=now)
    _end_with_charge(tx, payment, expired, PaymentStatus.EXPIRED, ids=ids, now=now)
    reach("charge.expiring")


def cancel(tx: Tx, charge_id: str, *, payment: Payment, ids: Ids, now: Instant) -> None:
    """End a charge the bank has removed (C10), and its payment with it."""
    charge = locked_charge(tx, charge_id, payment)
    if charge.state not in LIVE:
        return
    removed = pix.settle(tx, charge, State.CANCELLED, now=now)
    _end_with_charge(tx, payment, removed, PaymentStatus.CANCELLED, ids=ids, now=now)
    reach("charge.cancelling")


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
    service.leave_try(tx, session, reason=status.value, now=now)
    ended = rules.end(payment, status, now=now)
    store.update(tx, ended)
    record(tx, payment_event(f"payment.{status.value}", ended, at=now, pix_type=pix_type, charge=shown), ids=ids)


def _taken_up(tx: Tx, known: Charge, payment: Payment, *, now: Instant) -> Intent:
    """Return a charge to go on with; while its creation is not finished, nobody gives it up now."""
    charge = locked_charge(tx, known.id, payment)
    if charge.state is State.CREATING:
        pix.take_up(tx, charge, now=now)
    account = pix.find_account(tx, charge.account_id)
    if account is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such provider account.")
    return Intent(charge, account)
