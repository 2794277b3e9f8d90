"""Making a charge at its bank: intend, call, confirm (pix-rail.md §5).

A charge's id is stored before the bank is asked. After an ambiguous answer only reads follow, until one tells.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from opentill.db import Tx
from opentill.kernel.errors import Busy, NotFound, Refused
from opentill.kernel.failpoints import reach
from opentill.merchants.model import Merchant
from opentill.payments import store
from opentill.payments.model import Order, Payment
from opentill.payments.pix import service as pix
from opentill.payments.pix.flow.bank import RETRY_AFTER_S, unavailable
from opentill.payments.pix.service import Intent
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import store as charges
from opentill.pix.brcode import build_dynamic
from opentill.pix.identifiers import charge_id as new_charge_id
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import Account, Charge, State
from opentill.pix.port import ChargeRequest, ChargeState, PixReceiver, ProviderCharge
from opentill.pix.static import issue

READ_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0)  # after an ambiguous creation, while the caller waits
READ_NOW_WAITS_S: Final = (0.0, *READ_WAITS_S)  # of one that somebody began before
SEND_WAITS_S: Final = (0.5, 1.0)  # after a creation that certainly did not arrive
WITHIN_S: Final = 45.0  # for all of a creation: an idempotency key is taken for a minute

Look = Callable[[Tx], charges.FoundWay | None]
Claim = Callable[[Tx, str, Look], tuple[str, charges.FoundWay | None]]


async def cash_in(
    tools: Tools,
    order: Order,
    *,
    merchant: Merchant,
    description: str,
    expires_in_s: int,
    key: str | None = None,
    city: str | None = None,
    claim: Claim = lambda tx, proposed, look: (proposed, look(tx)),
    finish: Callable[[Tx, Charge], None] = lambda _tx, _charge: None,
    within_s: float = WITHIN_S,
) -> Charge:
    """Make a charge with its payment. Events, code and answer exist only once the bank has made it.

    *claim* runs in the transaction that stores the intent, and gives what it was handed to look for on the way; it
    may answer another charge id than the proposed one to go on with an earlier attempt. *city* stands in the code
    instead of the merchant's. *finish* runs in the transaction that confirms. Raises Refused where the bank or the
    merchant's set-up refuses, and Busy where the bank is not done *within_s*. Then a repeat goes on with the same
    charge, unless the code is PROVIDER_REFUSED: that charge is not to be, and a repeat makes another.
    """
    proposed = new_charge_id(tools.ids)

    def intend(tx: Tx) -> Intent:
        charge_id, found = claim(tx, proposed, lambda tx: charges.find_way(tx, key, owner=merchant.owner))
        return pix.intend_cash_in(
            tx,
            order,
            merchant=merchant,
            charge_id=charge_id,
            begun=charge_id != proposed,
            description=description,
            expires_in_s=expires_in_s,
            found=found,
            key=key,
            ids=tools.ids,
            keyring=tools.keyring,
            now=tools.clock.now(),
        )

    intent = await tools.db.write(intend)
    reach("charge.intended")
    begun = intent.charge.id != proposed
    return await _create(tools, intent, begun=begun, city=city, finish=finish, within_s=within_s)


async def charge_for(tools: Tools, payment: Payment) -> Charge:
    """Return a payment's charge, made now if need be. Raises as `cash_in`."""
    proposed = new_charge_id(tools.ids)

    def intend(tx: Tx) -> Intent:
        current = store.lock(tx, payment.id, owner=payment.owner, keyring=tools.keyring)
        if current is None:
            raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
        return pix.intend_checkout_charge(tx, current, charge_id=proposed, now=tools.clock.now())

    intent = await tools.db.write(intend)
    return await _create(tools, intent, begun=intent.charge.id != proposed)


async def _create(
    tools: Tools,
    intent: Intent,
    *,
    begun: bool,
    city: str | None = None,
    finish: Callable[[Tx, Charge], None] = lambda _tx, _charge: None,
    within_s: float = WITHIN_S,
) -> Charge:
    """Have the bank make a stored charge and confirm it. Of one that was *begun* before, the bank is asked first."""
    charge, account = intent
    made: ProviderCharge | None = None
    if charge.state is State.CREATING:
        try:
            async with asyncio.timeout(within_s):
                made = await _made(tools, account, charge, city, begun=begun)
        except TimeoutError:
            raise unavailable() from None
        reach("charge.made")

    def confirm(tx: Tx) -> Charge:
        confirmed = charge
        if made is not None:
            confirmed = pix.announce(tx, charge, made, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now())
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
            raise unavailable() from denied
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
    raise unavailable()


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
    raise unavailable()


def _is_as_asked(made: ProviderCharge, request: ChargeRequest) -> bool:
    """Tell whether the bank holds the charge that was asked for, and may still be paid for it."""
    same = (made.txid, made.amount_centavos, made.key) == (request.txid, request.amount_centavos, request.key)
    return same and made.state is not ChargeState.CANCELLED and (made.code or made.location) is not None


async def _reject(tools: Tools, charge: Charge) -> None:
    def reject(tx: Tx) -> None:
        payment, _ = pix.locked_both(tx, charge, keyring=tools.keyring)
        pix.reject(tx, charge.id, payment=payment, now=tools.clock.now())

    await tools.db.write(reject)


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
