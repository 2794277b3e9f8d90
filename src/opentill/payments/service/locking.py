"""The row lock under which everything happens to a payment."""

from opentill.db import Tx
from opentill.kernel.errors import NotFound
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments import store
from opentill.payments.model import Payment


def locked(tx: Tx, payment_id: int, *, owner: Owner, keyring: Keyring) -> Payment:
    """Lock a payment and return it as it stands. Raises NotFound."""
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
    return payment
