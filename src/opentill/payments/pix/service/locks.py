"""A payment and its charge, locked in this order."""

from opentill.db import ReadTx, Tx
from opentill.kernel.errors import NotFound
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments import store
from opentill.payments.model import Payment
from opentill.pix import store as charges
from opentill.pix.model import Charge


def charge_of(tx: ReadTx, payment: Payment) -> Charge | None:
    """Return a payment's charge, whatever its state."""
    return charges.charge_of_payment(tx, payment.id, owner=payment.owner)


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


def locked_with_charge(tx: Tx, charge_id: str, *, owner: Owner, keyring: Keyring) -> tuple[Payment, Charge] | None:
    """Return an owner's charge after its payment, both locked; None where there is no such charge."""
    charge = charges.lock_charge_and_payment(tx, charge_id, owner=owner)
    if charge is None:
        return None
    payment = store.one(tx, "p.id = :id", owner=owner, keyring=keyring, id=charge.payment_id)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "A charge without its payment.")
    return payment, charge
