"""Refunds on the PIX rail: which receipt is meant, whether it may go back, and what is told of it (pix-api.md §12.5).

Beside the rules every refund has (`refunds.py`), PIX has a window of days and refuses what is contested.
"""

import json
from dataclasses import replace
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.gateways.port import RefundAnswer, RefundState
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.errors import NotFound, Refused
from opentill.kernel.ids import Ids, uuid_of
from opentill.kernel.money import Money, from_minor
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.operators.reasons import Reason
from opentill.operators.review import call_person
from opentill.payments import store
from opentill.payments.infractions import service as infractions
from opentill.payments.model import Refund
from opentill.payments.pix import queries as pix_queries
from opentill.payments.pix.refunder import TERMS, answer_of
from opentill.payments.refunds import service as refunds
from opentill.payments.refunds import store as refund_rows
from opentill.payments.refunds.rules import Objection, RefundRefused, Target
from opentill.payments.refunds.service import Wish
from opentill.pix.identifiers import charge_id_of, refund_id
from opentill.pix.model import BRL, GATEWAY, Account
from opentill.pix.policy import policy_of
from opentill.pix.port import Nature, ProviderReceipt, ProviderReturn, ReturnState

UNKNOWN: Final = "Original transaction not found"
NOT_REFUNDABLE: Final = "Transaction is not refundable"
_WORDS: Final = {
    Objection.NOT_COMPLETED: NOT_REFUNDABLE,
    Objection.IMPOSSIBLE: NOT_REFUNDABLE,
    Objection.NOT_PARTLY: NOT_REFUNDABLE,
    Objection.WINDOW: "Refund window has expired",
    Objection.NOT_POSITIVE: "amount must be greater than zero",
    Objection.NOTHING_LEFT: "Refund amount exceeds the original transaction",
    Objection.TOO_MUCH: "Refund amount exceeds the original transaction",
    Objection.BALANCE: "Insufficient balance for refund",
}
_SOURCE: Final = """
        select r.id, r.payment_id, r.origin, r.state, coalesce(r.public_id, r.charge_id) as transaction_id
          from receipt r
"""


def original(tx: ReadTx, ref: str, *, owner: Owner) -> Row | None:
    """Return the receipt a merchant names by any of its ids; None for a transaction that is no settled receipt.

    Raises NotFound for what is not a transaction of theirs at all.
    """
    rows = tx.all(
        f"""{_SOURCE}
         where r.merchant_id = :merchant_id and r.mode = :mode and r.gateway = '{GATEWAY}'
           and (r.public_id = :ref or r.ref = :ref or (r.charge_id = :charge_id and r.origin = 'charge'))
         order by r.id limit 1
        """,
        ref=ref,
        charge_id=charge_id_of(ref) or "",
        **owner.columns,
    )
    if rows:
        return rows[0] if rows[0]["state"] == "booked" else None
    known = pix_queries.find(tx, charge_id_of(ref) or ref, owner=owner)
    if known is None and pix_queries.find_rail_id(tx, ref, owner=owner) is None:
        raise NotFound("TRANSACTION_NOT_FOUND", UNKNOWN)
    return None


def request(
    tx: Tx,
    ref: str,
    units: int | None,
    *,
    reason: str,
    text: str,
    owner: Owner,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> tuple[Refund, str]:
    """Hold what is to go back and write it down (R1); return the refund and the name of what it reverses.

    *units* are of the reais that came, all that is left where there are none. A worker sends it. Raises NotFound and
    Refused with the texts of pix-api.md §12.5.
    """
    source = original(tx, ref, owner=owner)
    if source is None:
        raise Refused("NOT_REFUNDABLE", NOT_REFUNDABLE)
    payment = None
    if source["payment_id"] is not None and source["origin"] == "charge":
        payment = store.lock(tx, source["payment_id"], owner=owner, keyring=keyring)
    receipt = store.lock_receipt(tx, source["id"], owner=owner)
    if receipt is None or receipt.state != "booked":
        raise Refused("NOT_REFUNDABLE", NOT_REFUNDABLE)
    window = policy_of(tx, owner=owner).refund_within_days * DAY
    if now >= after(receipt.received_at, window):
        raise Refused("WINDOW", _WORDS[Objection.WINDOW])
    if infractions.is_contested(tx, receipt.id) or (payment is not None and payment.disputed):
        raise Refused("DISPUTED", "Transaction is under dispute")
    charge = None if units is None else Money(units, BRL)
    wish = Wish(
        ids.uuid7(), charge=charge, reason=reason, public_id=refund_id(ids, now), detail=json.dumps({"text": text})
    )
    try:
        refund = refunds.intend(tx, Target(receipt, payment), wish, terms=TERMS, call_over=0, now=now)
    except RefundRefused as objection:
        raise Refused("INVALID_REFUND", _WORDS[objection.objection]) from objection
    refunds.tell_all(tx, "refund.created", refund, ids=ids, keyring=keyring, now=now)
    return refund, str(source["transaction_id"])


def note_return(
    tx: Tx,
    account: Account,
    arrived: ProviderReceipt,
    came: ProviderReturn,
    *,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> None:
    """Apply what the bank says of an ordinary return: of a refund of ours, or made in the bank's own app."""
    if came.nature is not Nature.ORDINARY:
        return
    known = refund_rows.one(tx, "r.public_id = :ref", owner=account.owner, ref=came.ref)
    if known is not None:
        answer = answer_of(came, refunds.order_of(tx, known))
        refunds.conclude(tx, known, answer, ids=ids, keyring=keyring, now=now)
        return
    if came.state is ReturnState.COMPLETED:
        _found(tx, account, arrived, came, ids=ids, keyring=keyring, now=now)


def _found(
    tx: Tx,
    account: Account,
    arrived: ProviderReceipt,
    came: ProviderReturn,
    *,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> None:
    """Book a return nobody here asked for, once. The money has left, whatever the merchant has."""
    owner, target = account.owner, _target(tx, account, arrived, keyring=keyring)
    if target is None:
        return
    uuid = uuid_of(f"return {target.receipt.account} {came.ref}")
    if refund_rows.one(tx, "r.uuid = :uuid", owner=owner, uuid=uuid) is not None:
        return
    receipt, charge = target.receipt, from_minor(came.amount_centavos, BRL)
    wish = Wish(uuid, charge=charge, origin="provider", public_id=refund_id(ids, now))
    terms = replace(TERMS, holds=False, window=None)
    problem = None
    try:
        if receipt.state == "booked":
            refund = refunds.intend(tx, target, wish, terms=terms, now=now)
        elif receipt.state == "held" and charge == receipt.rest:
            refund = refunds.intend_return(tx, receipt, wish, terms=terms, ids=ids, now=now)
        else:
            problem = Reason.PART_WENT_BACK
    except RefundRefused:
        problem = Reason.MORE_WENT_BACK
    if problem is not None:
        call_person(tx, owner, "receipt", str(receipt.id), problem, {}, now=now)
        return
    refunds.tell_all(tx, "refund.created", refund, ids=ids, keyring=keyring, now=now)
    gone = RefundAnswer(RefundState.COMPLETED, came.return_id)
    refunds.conclude(tx, refund, gone, ids=ids, keyring=keyring, now=now)


def _target(tx: Tx, account: Account, arrived: ProviderReceipt, *, keyring: Keyring) -> Target | None:
    """Return the money a bank speaks of, locked after the payment it completed; None where it is not booked yet."""
    condition, named = store.same_money(GATEWAY, str(account.id), arrived.e2e_id)
    rows = tx.all(
        f"{_SOURCE} where r.merchant_id = :merchant_id and r.mode = :mode and {condition}",
        **account.owner.columns,
        **named,
    )
    if not rows:
        return None
    payment = None
    if rows[0]["payment_id"] is not None and rows[0]["origin"] == "charge":
        payment = store.lock(tx, rows[0]["payment_id"], owner=account.owner, keyring=keyring)
    receipt = store.lock_receipt(tx, rows[0]["id"], owner=account.owner)
    return None if receipt is None else Target(receipt, payment)
