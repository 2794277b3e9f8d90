"""Having the bank remove a charge, at the payer's or the merchant's wish. "Paid" wins."""

from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import MINUTE, Instant
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.payments.model import Payment
from opentill.payments.pix import service as pix
from opentill.payments.pix.flow.bank import account_of, payment_of, unavailable
from opentill.payments.pix.flow.looking import look_at
from opentill.payments.pix.flow.sweeping import sweep_window
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.identifiers import charge_id_of, provider_txid
from opentill.pix.model import LIVE, Account, Charge, State
from opentill.pix.static import is_static

PROCESSED: Final = "Transaction has already been processed"


async def cancel_charge(tools: Tools, payment: Payment) -> bool:
    """Have the bank remove a payment's live charge; return whether there was one. "Paid" wins."""
    charge = await tools.db.read(lambda tx: pix.charge_of(tx, payment))
    if charge is None or charge.state not in LIVE:
        return False
    await _remove(tools, charge)
    return True


async def cancel_by_id(tools: Tools, name: str, *, owner: Owner) -> Charge:
    """Have the bank remove one charge, by its id or txid, at the merchant's wish. "Paid" wins.

    Raises NotFound, Conflict where it is over or was paid meanwhile, and Busy where the bank does not say.
    """

    def read(tx: ReadTx) -> Charge:
        found = charges.charge(tx, charge_id_of(name) or name, owner=owner)
        if found is None or found.state in (State.CREATING, State.REJECTED):
            raise NotFound("TRANSACTION_NOT_FOUND", "Transaction not found")
        return found

    charge = await tools.db.read(read)
    if charge.state not in LIVE:
        raise Conflict("INVALID_STATE", PROCESSED)
    await _remove(tools, charge)
    after_look = await tools.db.read(read)
    if after_look.state in LIVE:
        raise unavailable()
    if after_look.state is not State.CANCELLED:
        raise Conflict("INVALID_STATE", PROCESSED)
    return after_look


async def _remove(tools: Tools, charge: Charge) -> None:
    """Ask the bank to remove a charge, and apply what it makes of that. Raises Busy where it was not reached."""
    account = await account_of(tools, charge.account_id)
    if is_static(charge):
        await _cancel_static(tools, account, charge)
        return
    try:
        await tools.receiver(account).cancel_charge(provider_txid(charge.id))
    except (port.NotSent, port.Denied) as away:
        raise unavailable() from away
    except (port.Ambiguous, port.Refused):
        pass  # the read that follows tells what the bank made of it
    reach("charge.removed")
    await look_at(tools, charge)


async def _cancel_static(tools: Tools, account: Account, charge: Charge) -> None:
    """Cancel a charge that no bank holds, after a look at what was paid for it. Raises Busy where there is no look."""
    now = tools.clock.now()
    start, _ = rail.sweep_window(account, now=now)
    if not await sweep_window(tools, account, Instant(max(start, charge.created_at - 15 * MINUTE)), now):
        raise unavailable()

    def cancel(tx: Tx) -> None:
        payment = payment_of(tx, tools, charge)
        current = charges.charge(tx, charge.id, owner=charge.owner)
        if current is not None and current.state is State.ACTIVE:  # what is announced waits for its money (C4)
            pix.cancel(tx, charge.id, payment=payment, ids=tools.ids, now=tools.clock.now())

    await tools.db.write(cancel)
