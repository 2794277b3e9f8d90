"""What banks notify of is read back at them: a notification is a hint, booked is what the read says."""

from collections.abc import Awaitable, Sequence

from opentill.db import Row, Tx
from opentill.gateways.rounds import Lanes
from opentill.kernel.failpoints import reach
from opentill.payments.infractions import flow as infractions
from opentill.payments.pix import service as pix
from opentill.payments.pix.flow.bank import BATCH, account_of, tell
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.payouts import flow as payouts


async def confirm_due_hints(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """Confirm the hints that are due; return how many there were. Each bank has a lane of its own."""
    lanes = lanes or Lanes[int]()

    def put_off(hint: Row) -> Awaitable[None]:
        return tools.db.write(lambda tx: rail.put_hint_off(tx, hint, now=tools.clock.now()))

    due = await tools.db.read(lambda tx: charges.due_hints(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(
        due, lambda hint: int(hint["account_id"]), lambda hint: confirm_hint(tools, hint), put_off=put_off
    )


async def confirm_hint(tools: Tools, hint: Row) -> bool:
    """Read what a hint speaks of and book what the bank says; return whether the hint is dealt with."""
    account = await account_of(tools, hint["account_id"])
    if hint["kind"] == port.HintKind.PAYOUT:
        return await _end_hint(tools, hint, done=await payouts.ask_by_id(tools, hint["ref"], account_id=account.id))
    if hint["kind"] == port.HintKind.INFRACTION:
        return await _end_hint(tools, hint, done=await infractions.read(tools, account, hint["ref"]))
    receipts: Sequence[port.ProviderReceipt] = ()
    try:
        if hint["kind"] in (port.HintKind.RECEIPT, port.HintKind.RETURN):
            receipt = await tools.receiver(account).get_receipt(hint["ref"])
            receipts = [receipt] if receipt else []
        else:
            found = await tools.receiver(account).get_charge(hint["ref"])
            receipts = found.receipts if found else ()
    except port.CallFailed as failure:  # the hint is put off
        tell(account, "receipt.read", failure)
    reach("hint.read")
    now = tools.clock.now()

    def book(tx: Tx) -> bool:
        booked = [
            pix.receive(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now) for receipt in receipts
        ]
        for receipt in receipts:
            pix.note_returns(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now)
        done = bool(booked) and all(booked)
        if done:
            rail.end_hint(tx, hint, now=now)
        else:
            rail.put_hint_off(tx, hint, now=now)
        reach("hint.ending")
        return done

    done = await tools.db.write(book)
    reach("hint.ended")
    return done


async def _end_hint(tools: Tools, hint: Row, *, done: bool) -> bool:
    """Save whether a hint is dealt with, or looked at again later."""

    def end(tx: Tx) -> None:
        now = tools.clock.now()
        if done:
            rail.end_hint(tx, hint, now=now)
        else:
            rail.put_hint_off(tx, hint, now=now)

    await tools.db.write(end)
    return done
