"""PIX charges and their bank: intend, call, confirm (pix-rail.md §5, §6.8).

A charge's id is stored before the bank is asked. After an ambiguous answer only reads follow, until one tells.
A notification is a hint: what is booked is what a read at the bank says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from opentill.db import ReadTx, Row, Tx
from opentill.gateways.rounds import Lanes, Round, each
from opentill.kernel.clock import DAY, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Busy, Conflict, NotFound, Refused
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.merchants.model import Merchant
from opentill.payments import rules, store
from opentill.payments.infractions import flow as infractions
from opentill.payments.model import Order, Payment
from opentill.payments.pix import service as pix
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import service as rail
from opentill.pix import store as charges
from opentill.pix.brcode import build_dynamic
from opentill.pix.identifiers import charge_id as new_charge_id
from opentill.pix.identifiers import charge_id_of, provider_txid
from opentill.pix.model import LIVE, Account, Charge, State
from opentill.pix.payouts import flow as payouts
from opentill.pix.port import ChargeRequest, ChargeState, PixReceiver, ProviderCharge
from opentill.pix.static import is_static, issue

READ_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0)  # after an ambiguous creation, while the caller waits
READ_NOW_WAITS_S: Final = (0.0, *READ_WAITS_S)  # of one that somebody began before
SEND_WAITS_S: Final = (0.5, 1.0)  # after a creation that certainly did not arrive
RETRY_AFTER_S: Final = 5
PROCESSED: Final = "Transaction has already been processed"
WITHIN_S: Final = 45.0  # for all of a creation: an idempotency key is taken for a minute
BATCH: Final = 100
SWEEP_EVERY: Final = 3 * MINUTE
PAGES_MAX: Final = 1_000  # of one window; a bank that has always one more is not followed

log = structlog.get_logger("opentill.payments")


async def cash_in(
    tools: Tools,
    order: Order,
    *,
    merchant: Merchant,
    description: str,
    expires_in_s: int,
    key: str | None = None,
    city: str | None = None,
    claim: Callable[[Tx, str], str] = lambda _tx, proposed: proposed,
    finish: Callable[[Tx, Charge], None] = lambda _tx, _charge: None,
    within_s: float = WITHIN_S,
) -> Charge:
    """Make a charge with its payment. Events, code and answer exist only once the bank has made it.

    *claim* runs in the transaction that stores the intent; it may answer another charge id than the proposed one to
    go on with an earlier attempt. *city* stands in the code instead of the merchant's. *finish* runs in the
    transaction that confirms. Raises Refused where the bank or the merchant's set-up refuses, and Busy where the bank
    is not done *within_s*. Then a repeat goes on with the same charge, unless the code is PROVIDER_REFUSED: that
    charge is not to be, and a repeat makes another.
    """
    proposed = new_charge_id(tools.ids)

    def intend(tx: Tx) -> Charge:
        return pix.intend_cash_in(
            tx,
            order,
            merchant=merchant,
            charge_id=claim(tx, proposed),
            description=description,
            expires_in_s=expires_in_s,
            key=key,
            ids=tools.ids,
            keyring=tools.keyring,
            now=tools.clock.now(),
        )

    charge = await tools.db.write(intend)
    reach("charge.intended")
    begun = charge.id != proposed
    return await _create(tools, charge, begun=begun, city=city, finish=finish, within_s=within_s)


async def charge_for(tools: Tools, payment: Payment) -> Charge:
    """Return a payment's charge, made now if need be. Raises as `cash_in`."""
    proposed = new_charge_id(tools.ids)

    def intend(tx: Tx) -> Charge:
        current = store.lock(tx, payment.id, owner=payment.owner, keyring=tools.keyring)
        if current is None:
            raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
        return pix.intend_checkout_charge(tx, current, charge_id=proposed, now=tools.clock.now())

    charge = await tools.db.write(intend)
    return await _create(tools, charge, begun=charge.id != proposed)


async def confirm_hint(tools: Tools, hint: Row) -> bool:
    """Read what a hint speaks of and book what the bank says; return whether the hint is dealt with."""
    account = await _account(tools, hint["account_id"])
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
        _tell(account, "receipt.read", failure)
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
    account = await _account(tools, charge.account_id)
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
        now, payment = tools.clock.now(), _payment_of(tx, tools, charge)
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
        _tell(account, "charge.read", failure)
        return False, None
    reach("charge.read")
    if found is not None and found.state is ChargeState.UNKNOWN:
        log.error("unknown charge status", account=account.id, charge=charge.id, status=found.provider_status)
    await _book(tools, account, found.receipts if found else ())
    return True, found


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
        raise _unavailable()
    if after_look.state is not State.CANCELLED:
        raise Conflict("INVALID_STATE", PROCESSED)
    return after_look


async def _remove(tools: Tools, charge: Charge) -> None:
    """Ask the bank to remove a charge, and apply what it makes of that. Raises Busy where it was not reached."""
    account = await _account(tools, charge.account_id)
    if is_static(charge):
        await _cancel_static(tools, account, charge)
        return
    try:
        await tools.receiver(account).cancel_charge(provider_txid(charge.id))
    except (port.NotSent, port.Denied) as away:
        raise _unavailable() from away
    except (port.Ambiguous, port.Refused):
        pass  # the read that follows tells what the bank made of it
    reach("charge.removed")
    await look_at(tools, charge)


async def _cancel_static(tools: Tools, account: Account, charge: Charge) -> None:
    """Cancel a charge that no bank holds, after a look at what was paid for it. Raises Busy where there is no look."""
    now = tools.clock.now()
    start, _ = rail.sweep_window(account, now=now)
    if not await _sweep_window(tools, account, Instant(max(start, charge.created_at - 15 * MINUTE)), now):
        raise _unavailable()

    def cancel(tx: Tx) -> None:
        payment = _payment_of(tx, tools, charge)
        current = charges.charge(tx, charge.id, owner=charge.owner)
        if current is not None and current.state is State.ACTIVE:  # what is announced waits for its money (C4)
            pix.cancel(tx, charge.id, payment=payment, ids=tools.ids, now=tools.clock.now())

    await tools.db.write(cancel)


async def confirm_due_hints(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """Confirm the hints that are due; return how many there were. Each bank has a lane of its own."""
    lanes = lanes or Lanes[int]()

    def put_off(hint: Row) -> Awaitable[None]:
        return tools.db.write(lambda tx: rail.put_hint_off(tx, hint, now=tools.clock.now()))

    due = await tools.db.read(lambda tx: charges.due_hints(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(
        due, lambda hint: int(hint["account_id"]), lambda hint: confirm_hint(tools, hint), put_off=put_off
    )


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


async def sweep(tools: Tools, lanes: Lanes[int] | None = None) -> int:
    """List what arrived at each bank account since the last good sweep and book what is missing.

    Return how many accounts were due. One whose bank does not answer stays due, and keeps no other waiting.
    """
    now, swept = tools.clock.now(), 0
    lanes, faults = lanes or Lanes[int](), list[Exception]()
    due = await tools.db.read(_due_after(0, now))
    while due:
        try:
            swept += await lanes.each(due, lambda account: account.id, lambda account: _sweep_account(tools, account))
        except ExceptionGroup as met:  # told once every account had its turn
            faults += met.exceptions
        due = await tools.db.read(_due_after(due[-1].id, now))
    if faults:
        raise ExceptionGroup("some accounts could not be swept", faults)
    return swept


async def sweep_days(tools: Tools, account: Account, days: int) -> None:
    """Book what is missing of an account's last days once more: what a bank listed late, and what it took back."""
    end = Instant(tools.clock.now() - 10 * SECOND)
    await _sweep_window(tools, account, Instant(end - days * DAY), end)


def _due_after(account_id: int, now: Instant) -> Callable[[ReadTx], Sequence[Account]]:
    """Return how to read the accounts whose turn it is, those after an id."""
    swept_before = Instant(now - SWEEP_EVERY)
    return lambda tx: charges.active_accounts(tx, swept_before=swept_before, now=now, after_id=account_id, limit=BATCH)


async def _sweep_account(tools: Tools, account: Account) -> None:
    """Sweep what came since the last good end. The window is closed only once all of it could be read and booked."""
    start, end = rail.sweep_window(account, now=tools.clock.now())
    if await _sweep_window(tools, account, start, end):
        reach("sweep.booked")
        await tools.db.write(lambda tx: charges.set_swept(tx, account, until=end, now=tools.clock.now()))
        reach("sweep.closed")


async def _sweep_window(tools: Tools, account: Account, start: Instant, end: Instant) -> bool:
    """Book a window page by page; return whether all of it could be read."""
    pages = Round[Sequence[port.ProviderReceipt]](lambda receipts: _book(tools, account, receipts))
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        try:
            page = await tools.receiver(account).list_receipts(start, end, cursor)
        except port.CallFailed as failure:
            _tell(account, "receipt.list", failure)
            break
        if page.unreadable:
            log.error("unreadable receipts", account=account.id, count=page.unreadable, start=start, end=end)
        reach("sweep.listed")
        await pages.take([page.items])
        cursor = page.cursor
        if cursor is None:
            pages.end()
            return True
    pages.end()
    return False


async def _book(tools: Tools, account: Account, receipts: Sequence[port.ProviderReceipt]) -> None:
    """Book each receipt in a transaction of its own, so that one that cannot be booked keeps no other waiting."""

    def find_new(tx: ReadTx) -> Sequence[port.ProviderReceipt]:
        return [receipt for receipt in receipts if receipt.returns or not pix.is_counted(tx, account, receipt)]

    def book(receipt: port.ProviderReceipt) -> Awaitable[None]:
        def receive(tx: Tx) -> None:
            now = tools.clock.now()
            pix.receive(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now)
            pix.note_returns(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now)

        return tools.db.write(receive)

    if receipts:
        await each(await tools.db.read(find_new), book)


async def _create(
    tools: Tools,
    charge: Charge,
    *,
    begun: bool,
    city: str | None = None,
    finish: Callable[[Tx, Charge], None] = lambda _tx, _charge: None,
    within_s: float = WITHIN_S,
) -> Charge:
    """Have the bank make a stored charge and confirm it. Of one that was *begun* before, the bank is asked first."""
    made: ProviderCharge | None = None
    if charge.state is State.CREATING:
        account = await _account(tools, charge.account_id)
        try:
            async with asyncio.timeout(within_s):
                made = await _made(tools, account, charge, city, begun=begun)
        except TimeoutError:
            raise _unavailable() from None
        reach("charge.made")

    def confirm(tx: Tx) -> Charge:
        confirmed = charge
        if made is not None:
            payment = _payment_of(tx, tools, charge)
            confirmed = pix.announce(tx, charge.id, made, payment=payment, ids=tools.ids, now=tools.clock.now())
        if confirmed.state is not State.REJECTED:
            finish(tx, confirmed)
        return confirmed

    confirmed = await tools.db.write(confirm)
    reach("charge.confirmed")
    if confirmed.state is State.REJECTED:
        raise Busy("PROVIDER_REFUSED", "Provider unavailable, try again", retry_after_s=RETRY_AFTER_S)
    return confirmed


async def _made(tools: Tools, account: Account, charge: Charge, city: str | None, *, begun: bool) -> ProviderCharge:
    """Return a charge as its bank made it; one with a static code where the bank makes none (pix-api.md §12.1)."""
    bank = tools.receiver(account)
    made = await _ask_bank(tools, bank, charge, begun=begun) if bank.capabilities.dynamic else None
    return issue(charge, account, city=city) if made is None else _with_code(made, account, city)


async def _ask_bank(tools: Tools, bank: PixReceiver, charge: Charge, *, begun: bool) -> ProviderCharge | None:
    """Create the charge under its stored id; after a doubt, read before sending the same again. None where the bank
    turns out to make none for this account: what it grants is known with its first token.

    Whoever had *begun* before may have sent it, and died before the answer.
    """
    request = ChargeRequest(
        txid=provider_txid(charge.id),
        amount_centavos=charge.amount.minor,
        key=charge.key,
        expires_in_s=charge.expires_in_s,
        message=charge.description,
        reference=charge.external_id,
    )
    made = await _read_back(bank, request.txid, waits_s=READ_NOW_WAITS_S) if begun else None
    for wait_s in (*SEND_WAITS_S, None):
        try:
            made = made or await bank.create_charge(request)
        except port.Refused as refused:
            await _reject(tools, charge)
            raise _refused() from refused
        except port.Denied as denied:
            if not bank.capabilities.dynamic:
                return None
            raise _unavailable() from denied
        except port.Ambiguous:
            made = await _read_back(bank, request.txid)
        except port.NotSent:
            pass
        if made is not None and _is_as_asked(made, request):
            return made
        if made is not None:
            await _reject(tools, charge)
            raise _refused()
        if wait_s is not None:
            await asyncio.sleep(wait_s)
    raise _unavailable()


async def _read_back(bank: PixReceiver, txid: str, *, waits_s: Sequence[float] = READ_WAITS_S) -> ProviderCharge | None:
    """Read a charge whose creation is in doubt; None where the bank says it has none, or has none for this account.

    Raises Busy if nobody knows.
    """
    for wait_s in waits_s:
        await asyncio.sleep(wait_s)
        try:
            return await bank.get_charge(txid)
        except (port.NotSent, port.Ambiguous):
            continue
        except (port.Refused, port.Denied):
            if not bank.capabilities.dynamic:
                return None
            break
    raise _unavailable()


def _is_as_asked(made: ProviderCharge, request: ChargeRequest) -> bool:
    """Tell whether the bank holds the charge that was asked for, and may still be paid for it."""
    same = (made.txid, made.amount_centavos, made.key) == (request.txid, request.amount_centavos, request.key)
    return same and made.state is not ChargeState.CANCELLED and (made.code or made.location) is not None


async def _reject(tools: Tools, charge: Charge) -> None:
    await tools.db.write(
        lambda tx: pix.reject(tx, charge.id, payment=_payment_of(tx, tools, charge), now=tools.clock.now())
    )


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
        _tell(account, "charge.cancel", failure)
        again_at = after(now, MINUTE) if now < charge.expires_at else None  # then it is over by itself
    reach("charge.given_up")
    await _book(tools, account, found.receipts if found else ())
    await tools.db.write(lambda tx: charges.plan_look(tx, charge, at=again_at))


async def _account(tools: Tools, account_id: int) -> Account:
    found = await tools.db.read(lambda tx: charges.account(tx, account_id))
    if found is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such provider account.")
    return found


def _payment_of(tx: Tx, tools: Tools, charge: Charge) -> Payment:
    payment = store.lock(tx, charge.payment_id, owner=charge.owner, keyring=tools.keyring)
    if payment is None:
        raise NotFound("PAYMENT_NOT_FOUND", "A charge without its payment.")
    return payment


def _tell(account: Account, operation: str, failure: port.CallFailed) -> None:
    """Tell the operator that a bank did not answer a loop's question. The loop asks again."""
    log.warning(
        "bank call failed", account=account.id, operation=operation, outcome=failure.outcome, error=str(failure)
    )


def _with_code(made: ProviderCharge, account: Account, city: str | None) -> ProviderCharge:
    """Build the code around the charge's location where the bank sends none, or the merchant names another *city*
    than the bank knows (pix-rail.md §6.4). The payer's bank takes everything else from the location.
    """
    if made.location is None or (made.code is not None and city is None):
        return made
    code = build_dynamic(url=made.location, name=account.merchant_name, city=city or account.merchant_city)
    return replace(made, code=code)


def _refused() -> Refused:
    return Refused("PROVIDER_REFUSED", "The provider refused the charge")


def _unavailable() -> Busy:
    return Busy("PROVIDER_UNAVAILABLE", "Provider unavailable, try again", retry_after_s=RETRY_AFTER_S)
