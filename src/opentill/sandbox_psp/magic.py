"""Amounts that make a charge behave in a certain way (pix-api.md §19.2)."""

from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.sandbox_psp.agenda import schedule
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.store import Row

READS_FAIL_S: Final = 30  # how long a charge that was not made stays unreadable
EXPIRES_THEN_PAID: Final = 10006
CONTESTED: Final = 10012
TAKEN_BACK: Final = 10013
RETURNED_FIRST: Final = 10014
PAID_BEFORE_ANSWER: Final = 10015
REMOVED: Final = 10016

LIFETIMES_S: Final = {EXPIRES_THEN_PAID: 3}
CREATION_FAULTS: Final = {
    10007: "timeout_after",
    10008: "timeout_before",
    10009: "http_400",
    10010: "http_503",
    10011: "html_200",
}
_ONCE: Final = ("timeout_after", "timeout_before")


@dataclass(frozen=True, slots=True)
class _Payment:
    delay_us: int = SECOND
    less: int = 0  # centavos
    count: int = 1
    copies: int = 1  # of the notification


_PAYMENTS: Final = {
    10001: _Payment(),
    10002: _Payment(less=1),
    10003: _Payment(count=2),
    10004: _Payment(copies=0),
    10005: _Payment(copies=3),
    EXPIRES_THEN_PAID: _Payment(delay_us=4 * SECOND),
    CONTESTED: _Payment(),
    TAKEN_BACK: _Payment(),
    RETURNED_FIRST: _Payment(copies=0),
    PAID_BEFORE_ANSWER: _Payment(delay_us=0),
}
_AFTERWARDS: Final[dict[int, tuple[str, dict[str, Any], int]]] = {
    CONTESTED: ("contest", {}, 2 * SECOND),
    TAKEN_BACK: ("give back", {"nature": "MED_FRAUDE"}, 2 * SECOND),
    RETURNED_FIRST: ("give back", {"nature": "ORIGINAL", "then_announce": True}, SECOND),
}


def plan(frame: Frame, account_id: int, charge: Row) -> None:
    """Put what a new charge's amount asks for on the agenda."""
    if charge["amount"] == REMOVED:
        schedule(frame, account_id, "remove", {"charge_id": charge["id"]}, delay_us=SECOND)
    payment = _PAYMENTS.get(charge["amount"])
    if payment is not None:
        order: dict[str, Any] = {
            "txid": charge["txid"],
            "amount": charge["amount"] - payment.less,
            "count": payment.count,
            "copies": payment.copies,
            "force": charge["amount"] == EXPIRES_THEN_PAID or payment.less > 0,
        }
        schedule(frame, account_id, "pay", {"order": order}, delay_us=payment.delay_us)
    if charge["amount"] in _AFTERWARDS:
        kind, detail, delay_us = _AFTERWARDS[charge["amount"]]
        schedule(frame, account_id, kind, detail | {"charge_id": charge["id"]}, delay_us=delay_us)


def submission_fault(frame: Frame, account_id: int, txid: str, fault: str) -> str | None:
    """Return *fault* where a request under this name is to go wrong. Time-outs do so once for each name."""
    seen = frame.store.one(
        "select 1 from creation where account_id = :account_id and txid = :txid", account_id=account_id, txid=txid
    )
    if fault in _ONCE and seen is not None:
        return None
    frame.store.run(
        """
        insert into creation (account_id, txid, answer, until_at) values (:account_id, :txid, :answer, :until_at)
        on conflict (account_id, txid) do update set until_at = excluded.until_at
        """,
        account_id=account_id,
        txid=txid,
        answer="" if fault in _ONCE else fault,
        until_at=frame.now() + READS_FAIL_S * SECOND,
    )
    return fault


def read_fault(frame: Frame, account_id: int, txid: str) -> str | None:
    """Return how a read of a charge goes wrong whose creation did, for half a minute."""
    row = frame.store.one(
        """
        select answer from creation
         where account_id = :account_id and txid = :txid and answer <> '' and until_at > :now
        """,
        account_id=account_id,
        txid=txid,
        now=frame.now(),
    )
    return row["answer"] if row else None
