"""A payment and its charge, locked in this order."""

from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.secret import Keyring
from opentill.payments import store
from opentill.payments.model import Payment, Receipt
from opentill.pix import store as charges
from opentill.pix.model import LIVE, Charge

OF_CHARGE: Final = "p.id = (select c.payment_id from pix_charge c where c.id = :charge_id)"


def charge_of(tx: ReadTx, payment: Payment) -> Charge | None:
    """Return a payment's charge, whatever its state."""
    return charges.charge_of_payment(tx, payment.id, owner=payment.owner)


def require_no_code(tx: Tx, payment: Payment) -> None:
    """Raise Conflict where a locked payment has a code that can be paid."""
    charge = charge_of(tx, payment)
    if charge is not None and charge.state in LIVE:
        raise Conflict("INVALID_STATE", "A code was made just now. Please try again.")


def locked(tx: Tx, charge: Charge, *, keyring: Keyring) -> Payment:
    """Return a charge's payment, locked. Payments are locked before their charges."""
    payment = store.lock(tx, charge.payment_id, owner=charge.owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "A charge without its payment.")
    return payment


def locked_charge(tx: Tx, charge_id: str, payment: Payment) -> Charge:
    charge = charges.lock_charge(tx, charge_id, owner=payment.owner)
    if charge is None or charge.payment_id != payment.id:
        raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
    return charge


def locked_both(tx: Tx, known: Charge, *, keyring: Keyring) -> tuple[Payment, Charge]:
    """Lock a charge's payment and then the charge, and return both as they stand."""
    charge, payment = tx.together(
        lambda tx: charges.lock_charge_and_payment(tx, known.id, owner=known.owner),
        lambda tx: store.one(tx, OF_CHARGE, owner=known.owner, keyring=keyring, charge_id=known.id),
    )
    if charge is None or payment is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
    return payment, charge


def locked_with_charge(
    tx: Tx, charge_id: str, receipt: Receipt, *, keyring: Keyring
) -> tuple[Payment, Charge, Row | None] | None:
    """Return what a receipt was paid for, locked, and after that where the receipt is counted already.

    None where the owner has no such charge.
    """
    charge, payment, _, counted = tx.together(
        lambda tx: charges.lock_charge_and_payment(tx, charge_id, owner=receipt.owner),
        lambda tx: store.one(tx, OF_CHARGE, owner=receipt.owner, keyring=keyring, charge_id=charge_id),
        lambda tx: store.lock_letters(tx, receipt.ref),
        lambda tx: store.counted_receipt(tx, receipt),
    )
    return (payment, charge, counted) if charge and payment else None
