"""Payouts and their bank: intend, call, confirm (pix-rail.md §5).

That a payout is about to be sent is written down before the bank is told. After a doubt the bank is only asked, until
an answer proves that it never got it. Then it is told again, under the same reference.
"""

import asyncio
from collections.abc import Awaitable
from datetime import date
from typing import Final

import structlog

from opentill.db import Tx
from opentill.gateways.rounds import Lanes
from opentill.kernel.calendar import day_of
from opentill.kernel.clock import SECOND, after
from opentill.kernel.errors import Busy, Fault, Invalid, NotFound, Refused
from opentill.kernel.failpoints import reach
from opentill.kernel.money import Money, from_minor
from opentill.kernel.owner import Owner
from opentill.pix import port
from opentill.pix import store as accounts
from opentill.pix.brcode import BadCode, Code, Kind, parse
from opentill.pix.keys import detect
from opentill.pix.model import BRL, Account
from opentill.pix.payouts import rules, service, store
from opentill.pix.payouts.model import TO_SEND, Order, Payout, State
from opentill.pix.port import PayoutRequest, PixPayout, ToCode
from opentill.pix.tools import PayoutTools

BATCH: Final = 100
RETRY_AFTER_S: Final = 5

log = structlog.get_logger("opentill.pix")


async def capabilities(tools: PayoutTools, owner: Owner) -> port.PayoutCapabilities:
    """Return what the bank that pays out for an owner can do; nothing where there is none."""
    account = await tools.db.read(lambda tx: accounts.active_account(tx, owner=owner))
    return tools.payer(account).capabilities if account else port.PayoutCapabilities()


async def order_by_code(
    tools: PayoutTools,
    text: str,
    amount: Money,
    *,
    owner: Owner,
    payload_wins: bool = False,
    description: str | None = None,
    external_id: str | None = None,
    end_to_end_id: str | None = None,
) -> Order:
    """Read a copy-and-paste code and return what is to be sent. Raises Invalid, or Busy where it cannot be read now.

    A dynamic code that names another amount is refused, unless its *payload_wins*.
    """
    try:
        code = parse(text)
    except BadCode:
        raise _invalid_code() from None
    if code.kind is Kind.RECURRENCE or code.facilitator is not None:
        raise _invalid_code()
    if code.kind is Kind.STATIC:
        recipient, asked = port.Recipient(), code.amount_centavos
        key = code.key
    else:
        decoded = await _decoded(tools, code, text.strip(), owner, day_of(tools.clock.now()))
        recipient, key = decoded.recipient, decoded.key
        asked = None if decoded.changeable else decoded.amount_centavos
        if asked is not None and payload_wins:
            amount = from_minor(asked, BRL)
    if asked is not None and from_minor(asked, BRL) != amount:
        raise _wrong("amount", "amount does not match the PIX code")
    return Order(
        amount=amount,
        target=ToCode(text.strip(), _canonical(key)),
        recipient_key=_canonical(key),
        description=description,
        external_id=external_id,
        end_to_end_id=end_to_end_id,
        recipient_name=recipient.name or code.name,
        recipient_document=service.masked(recipient.document),
    )


async def work_due(tools: PayoutTools, lanes: Lanes[int] | None = None) -> int:
    """Send, ask about or end what is due; return how many payouts there were. Each bank has a lane of its own.

    In order of creation they are taken one after the other, each when there is room to send it at once. What one of
    them meets keeps no other waiting. Raises what some of them met, together.
    """
    lanes, turn = lanes or Lanes[int](), asyncio.Lock()

    async def work(payout: Payout) -> None:
        async with turn:
            taken = await _take(tools, payout)
        if taken is not None:
            await (_send(tools, taken) if taken.state is State.SUBMITTING else ask(tools, taken))

    def put_off(payout: Payout) -> Awaitable[None]:
        return tools.db.write(lambda tx: service.hear_nothing(tx, payout, now=tools.clock.now()))

    due = await tools.db.read(lambda tx: store.due(tx, now=tools.clock.now(), limit=BATCH, but=lanes.busy))
    return await lanes.each(due, lambda payout: payout.account_id, work, put_off=put_off)


async def _take(tools: PayoutTools, payout: Payout) -> Payout | None:
    """Do what can be done without the bank; return the payout if the bank is to be told, or asked, of it."""

    def take(tx: Tx) -> Payout | None:
        now = tools.clock.now()
        if payout.state is State.PENDING_APPROVAL:
            service.expire_approval(tx, payout, ids=tools.ids, now=now)
            return None
        if payout.state is State.SUBMITTING:  # whoever was sending it has died
            return service.doubt(tx, payout, ids=tools.ids, now=now)
        if payout.state in TO_SEND:
            return service.take(tx, payout, ids=tools.ids, now=now)
        return payout

    taken = await tools.db.write(take)
    reach("payout.taken")
    return taken


async def ask(tools: PayoutTools, payout: Payout) -> None:
    """Ask the bank what has become of a payout and book its answer."""
    bank = await _bank(tools, payout)
    asked_at = tools.clock.now()
    try:
        said = await bank.query(payout.id, payout.end_to_end_id)
    except port.CallFailed as failure:
        _tell(payout, "payout.query", failure)
        await tools.db.write(lambda tx: service.hear_nothing(tx, payout, now=tools.clock.now()))
        return
    reach("payout.asked")
    if said is not None:
        await tools.db.write(lambda tx: service.hear(tx, payout, said, ids=tools.ids, now=tools.clock.now()))
        return
    able = bank.capabilities
    sent_at = payout.submitted_at or payout.created_at
    never_arrived = able.query_proves_absence and asked_at >= after(sent_at, able.absence_after_s * SECOND)
    if payout.state is State.UNKNOWN and never_arrived:
        again = await tools.db.write(lambda tx: service.take_again(tx, payout, now=tools.clock.now()))
        if again is not None:
            reach("payout.taken_again")
            await _send(tools, again)
        return
    await tools.db.write(lambda tx: service.hear_nothing(tx, payout, now=tools.clock.now()))


async def ask_by_id(tools: PayoutTools, payout_id: str, *, account_id: int) -> bool:
    """Ask the bank about the payout a notification named; return whether that is done.

    A stranger's name, or one of another account, is nothing. While it is being sent, its sender hears of it first.
    """
    payout = await tools.db.read(lambda tx: store.by_id(tx, payout_id))
    if payout is None or payout.account_id != account_id or payout.submitted_at is None:
        return True
    if rules.is_being_sent(payout, now=tools.clock.now()):
        return False
    await ask(tools, payout)
    return True


async def _send(tools: PayoutTools, payout: Payout) -> None:
    """Tell the bank what was written down, and book its answer.

    Who comes too late for that sends nothing: somebody else may ask by then, and take no trace of it for a proof.
    """
    if not rules.may_send(payout, now=tools.clock.now()):
        log.warning("too late to send", payout=payout.id)
        return
    try:
        said = await (await _bank(tools, payout)).submit(_request(payout))
        reach("payout.submitted")
    except port.Refused as refused:
        failure = rules.failure_of(refused.code, refused.rail_code, refused.detail)
        await tools.db.write(lambda tx: service.refuse(tx, payout, failure, ids=tools.ids, now=tools.clock.now()))
        reach("payout.refused")
    except port.Ambiguous as ambiguous:
        _tell(payout, "payout.submit", ambiguous)
        await tools.db.write(lambda tx: service.doubt(tx, payout, ids=tools.ids, now=tools.clock.now()))
        reach("payout.doubted")
    except (port.NotSent, port.Denied) as away:
        _tell(payout, "payout.submit", away)
        wait_s = away.retry_after_s if isinstance(away, port.NotSent) else None
        await tools.db.write(
            lambda tx: service.not_sent(tx, payout, ids=tools.ids, now=tools.clock.now(), wait_s=wait_s)
        )
    else:
        await tools.db.write(lambda tx: service.hear(tx, payout, said, ids=tools.ids, now=tools.clock.now()))
        reach("payout.heard")


def _request(payout: Payout) -> PayoutRequest:
    return PayoutRequest(
        ref=payout.id,
        amount_centavos=payout.amount.minor,
        target=payout.target,
        text=payout.description,
        e2e_id=payout.end_to_end_id,
        reference=payout.external_id,
    )


async def _decoded(tools: PayoutTools, code: Code, text: str, owner: Owner, on: date) -> port.DecodedCode:
    """Have the bank read the payload behind a dynamic code."""
    account = await tools.db.read(lambda tx: accounts.active_account(tx, owner=owner))
    if account is None:
        raise Refused("PAYOUTS_DISABLED", "Payouts are disabled")
    try:
        decoded = await tools.payer(account).decode_code(text, on)
    except port.Refused as refused:
        raise (_over() if refused.code == "qr_rejected" else _invalid_code()) from refused
    except port.CallFailed as away:
        raise Busy(
            "PROVIDER_UNAVAILABLE", "PIX code could not be read, try again", retry_after_s=RETRY_AFTER_S
        ) from away
    if not decoded.payable:
        raise _over()
    return decoded


def _canonical(key: str | None) -> str | None:
    """Return the key of a code. One of a kind we do not know is passed on as it is."""
    try:
        return detect(key).value if key else None
    except Refused:
        raise _invalid_code() from None


async def _bank(tools: PayoutTools, payout: Payout) -> PixPayout:
    account: Account | None = await tools.db.read(lambda tx: accounts.account(tx, payout.account_id))
    if account is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such provider account.")
    return tools.payer(account)


def _tell(payout: Payout, operation: str, failure: port.CallFailed) -> None:
    log.warning("bank call failed", payout=payout.id, operation=operation, outcome=failure.outcome, error=str(failure))


def _wrong(field: str, message: str) -> Invalid:
    return Invalid([Fault(field, "INVALID_FIELD", message)])


def _invalid_code() -> Invalid:
    return _wrong("emv_code", "Invalid PIX code")


def _over() -> Invalid:
    return _wrong("emv_code", "PIX code has expired or was already paid")
