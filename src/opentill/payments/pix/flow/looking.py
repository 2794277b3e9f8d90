"""Looking at a charge at its bank: was it paid, removed, has its time passed; and giving up what nobody finished."""

from collections.abc import Awaitable

from opentill.db import Tx
from opentill.gateways.rounds import Lanes
from opentill.kernel.clock import MINUTE, Instant, after
from opentill.kernel.failpoints import reach
from opentill.payments import rules
from opentill.payments.model import Payment
from opentill.payments.pix import service as pix
from opentill.payments.pix.flow.bank import BATCH, account_of, book, log, payment_of, tell
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import LIVE, Account, Charge, State
from opentill.pix.port import ChargeState, ProviderCharge
from opentill.pix.static import is_static


async def look_at_due(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """Look at the charges that are due; return how many there were. Each bank has a lane of its own."""
    lanes = lanes or Lanes[int]()

    def put_off(charge: Charge) -> Awaitable[None]:
        later = after(tools.clock.now(), MINUTE)
        return tools.db.write(lambda tx: charges.plan_look(tx, charge, at=later))

    due = await tools.db.read(lambda tx: charges.due_charges(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(
        due, lambda charge: charge.account_id, lambda charge: look_at(tools, charge), put_off=put_off
    )


async def look_at_payment(tools: Tools, payment: Payment) -> bool:
    """Ask the bank about a payment's charge; return whether there is one that decides how the payment goes on."""
    charge = await tools.db.read(lambda tx: pix.charge_of(tx, payment))
    if charge is None:
        return False
    if charge.state is State.CREATING and charge.announces:
        return True  # nobody has heard of either; they are announced or given up together
    if charge.state not in LIVE:
        return False
    await look_at(tools, charge)
    return True


async def look_at(tools: Tools, charge: Charge) -> None:
    """Ask the bank about a charge and apply the answer: paid, removed, expired, or nothing new."""
    account = await account_of(tools, charge.account_id)
    if charge.state in (State.CREATING, State.REJECTED):
        await _give_up(tools, account, charge)
        return
    asked_at, found = tools.clock.now(), None
    if is_static(charge):  # its bank knows of no charge: what was paid in time is booked once the sweep has been there
        answered = account.swept_until_at >= charge.expires_at
    else:
        answered, found = await _read(tools, account, charge)
    # What was paid in time is there if the bank was asked after that; one that does not answer is not waited for long.
    over_at = charge.expires_at if answered else after(charge.expires_at, rules.PATIENCE)

    def apply(tx: Tx) -> None:
        now, payment = tools.clock.now(), payment_of(tx, tools, charge)
        current = charges.charge(tx, charge.id, owner=charge.owner)
        if current is None or current.state not in (*LIVE, State.EXPIRED):
            return
        if current.state is State.EXPIRED:
            if answered:
                charges.plan_look(tx, current, at=None)
            else:
                rail.missed(tx, current, now=now)
        elif found is not None and found.state is ChargeState.CANCELLED:
            pix.cancel(tx, charge.id, payment=payment, ids=tools.ids, now=now)
        elif asked_at >= over_at and current.state is State.ACTIVE:
            pix.expire(tx, charge.id, payment=payment, ids=tools.ids, now=now)
        else:
            rail.looked_at(tx, current, now=now)

    await tools.db.write(apply)
    reach("charge.looked_at")


async def _read(tools: Tools, account: Account, charge: Charge) -> tuple[bool, ProviderCharge | None]:
    """Read a charge at its bank and book what was paid for it; return whether the bank answered, and what."""
    try:
        found = await tools.receiver(account).get_charge(provider_txid(charge.id))
    except port.CallFailed as failure:
        tell(account, "charge.read", failure)
        return False, None
    reach("charge.read")
    if found is not None and found.state is ChargeState.UNKNOWN:
        log.error("unknown charge status", account=account.id, charge=charge.id, status=found.provider_status)
    await book(tools, account, found.receipts if found else ())
    return True, found


async def _give_up(tools: Tools, account: Account, charge: Charge) -> None:
    """Give up a charge nobody finished creating, and then remove it at the bank if it exists there (C3).

    In this order: who comes back for a charge that is being removed must find that it is not to be.
    """
    now = tools.clock.now()
    if charge.state is State.CREATING and not await tools.db.write(
        lambda tx: pix.abandon(tx, charge, keyring=tools.keyring, now=now)
    ):
        return
    reach("charge.abandoned")
    bank, txid = tools.receiver(account), provider_txid(charge.id)
    found: ProviderCharge | None = None
    again_at: Instant | None = None
    try:
        found = await bank.get_charge(txid) if bank.capabilities.dynamic else None
        if found is not None and found.state is ChargeState.ACTIVE:
            found = await bank.cancel_charge(txid)
    except port.Refused:
        pass  # a bank that knows no such charge has nothing to remove
    except port.CallFailed as failure:
        tell(account, "charge.cancel", failure)
        again_at = after(now, MINUTE) if now < charge.expires_at else None  # then it is over by itself
    reach("charge.given_up")
    await book(tools, account, found.receipts if found else ())
    await tools.db.write(lambda tx: charges.plan_look(tx, charge, at=again_at))
