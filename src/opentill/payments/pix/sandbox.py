"""What only sandbox money can do: end a charge's time, arrive from nowhere, be contested at once (pix-api.md §19.1).

Everything else that is played at the sandbox bank reaches the books as a real bank's news do.
"""

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Busy, Conflict, NotFound, Refused
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.payments import booking, store
from opentill.payments.infractions import flow as infraction_flow
from opentill.payments.infractions import service as infractions
from opentill.payments.infractions.model import Infraction
from opentill.payments.model import Receipt
from opentill.payments.pix.flow import PROCESSED, look_at
from opentill.payments.tools import Tools
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.identifiers import charge_id_of, end_to_end_id, receipt_id
from opentill.pix.model import BRL, GATEWAY, LIVE, Account, Charge, State
from opentill.pix.port import Hint, HintKind

PAYERS_ISPB = "99999002"
UNKNOWN = "Transaction not found"
NOT_YET = "The sandbox bank has not said what came of it, try again"


def find_account(tx: ReadTx, *, owner: Owner) -> Account:
    """Return an owner's account at the sandbox bank. Raises Refused where it is elsewhere."""
    account = rail.account_of(tx, owner=owner)
    if account is None or account.profile != "sandbox":
        raise Refused("NOT_SANDBOX", "This account is not at the sandbox bank")
    return account


def find_charge(tx: ReadTx, name: str, *, owner: Owner) -> Charge:
    """Return the charge of an id or txid. Raises NotFound, also for one the bank has not made."""
    found = charges.charge(tx, charge_id_of(name) or name, owner=owner)
    if found is None or found.state in (State.CREATING, State.REJECTED):
        raise NotFound("TRANSACTION_NOT_FOUND", UNKNOWN)
    return found


def find_live_charge(tx: ReadTx, name: str, *, owner: Owner) -> Charge:
    """Return a charge that waits for its payer. Raises NotFound and Conflict."""
    charge = find_charge(tx, name, owner=owner)
    if charge.state not in LIVE:
        raise Conflict("INVALID_STATE", PROCESSED)
    return charge


async def expire(tools: Tools, charge: Charge) -> Charge:
    """Let a charge's time be over now, and look at it as at any charge whose time is over (C9)."""

    def end(tx: Tx) -> Charge:
        now = tools.clock.now()
        payment = store.lock(tx, charge.payment_id, owner=charge.owner, keyring=tools.keyring)
        current = charges.lock_charge(tx, charge.id, owner=charge.owner)
        if payment is None or current is None or current.state not in LIVE:
            raise Conflict("INVALID_STATE", PROCESSED)
        if current.announces:
            store.set_expiry(tx, payment, now)
        return rail.end_time(tx, current, now=now)

    await look_at(tools, await tools.db.write(end))
    return await tools.db.read(lambda tx: find_charge(tx, charge.id, owner=charge.owner))


def newest_key(tx: ReadTx, account: Account) -> str:
    """Raises Refused where the account has no key."""
    key = charges.newest_key(tx, account.id, owner=account.owner)
    if key is None:
        raise Refused("NO_PIX_KEY", "No active PIX key")
    return key


def fund(tx: Tx, account: Account, amount: Money, *, ids: Ids, now: Instant) -> tuple[str, str]:
    """Credit test money, without fee and without telling anybody (L1); return its id and its end-to-end id."""
    receipt = Receipt(
        owner=account.owner,
        gateway=GATEWAY,
        account=str(account.id),
        ref=end_to_end_id(ids, PAYERS_ISPB, now),
        amount=amount,
        received_at=now,
    )
    public_id = receipt_id(ids, now)
    booking.credit(tx, receipt, fee=Money(0, BRL), origin="direct", payment_id=None, public_id=public_id, now=now)
    return public_id, receipt.ref


def note_receipt(tx: Tx, account: Account, e2e_id: str, *, now: Instant) -> None:
    """Have a receipt read at the bank that it tells nobody of."""
    hint = Hint(HintKind.RECEIPT, None, e2e_id)
    rail.note_notification(tx, account, e2e_id.encode(), [hint], now=now)


async def hear_infraction(tools: Tools, account: Account, ref: str) -> Infraction:
    """Read an infraction at the bank, and return it as it is booked. Raises Busy where the bank does not say."""
    await infraction_flow.read(tools, account, ref)
    known = await tools.db.read(lambda tx: infractions.find_ref(tx, account, ref))
    if known is None:
        raise Busy("PROVIDER_UNAVAILABLE", NOT_YET, retry_after_s=5)
    return known
