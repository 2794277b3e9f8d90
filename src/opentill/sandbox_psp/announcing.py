"""Putting notifications on the agenda, as scripted faults have them (pix-rail.md §11.4)."""

from typing import Any, Final

from opentill.sandbox_psp import faults
from opentill.sandbox_psp.agenda import HELD_BACK, schedule
from opentill.sandbox_psp.frame import MILLISECOND, Frame
from opentill.sandbox_psp.store import Row

PAYOUTS: Final = "notify payout"
RECEIPTS: Final = "notify"
INFRACTIONS: Final = "notify infraction"


def announce(frame: Frame, receipt: Row, copies: int, *, with_returns: bool = False, delay_us: int = 0) -> None:
    """Announce a receipt, or where it has come to since with its returns."""
    about = {"txid": receipt["txid"] or "", "e2e_id": receipt["e2e_id"], "amount": str(receipt["amount"])}
    detail = {"receipt_id": receipt["id"], "with_returns": with_returns}
    _plan(
        frame,
        receipt["account_id"],
        RECEIPTS,
        "receipt.notify",
        detail,
        about,
        copies,
        key=receipt["key"],
        later_us=delay_us,
    )


def announce_payout(frame: Frame, payout: Row, copies: int = 1) -> None:
    """Announce where a payout has come to."""
    about = {"ref": payout["ref"], "e2e_id": payout["e2e_id"], "amount": str(payout["amount"])}
    detail = {"payout_id": payout["id"]}
    _plan(frame, payout["account_id"], PAYOUTS, "payout.notify", detail, about, copies)


def announce_infraction(frame: Frame, account_id: int, number: int) -> None:
    """Announce that somebody contests a receipt, or what became of it."""
    schedule(frame, account_id, INFRACTIONS, {"infraction_id": number})


def _plan(
    frame: Frame,
    account_id: int,
    kind: str,
    operation: str,
    detail: dict[str, Any],
    about: dict[str, str],
    copies: int,
    *,
    key: str = "",
    later_us: int = 0,
) -> None:
    fault = faults.take(frame, account_id, operation, about) if copies else None
    wrong = fault.kind if fault else ""
    detail["off"] = 1 if wrong == "wrong_amount" else 0
    delay_us = HELD_BACK if wrong == "reorder" else fault.delay_ms * MILLISECOND if fault else later_us
    for _ in range({"drop": 0, "duplicate": 2 * copies}.get(wrong, copies)):
        schedule(frame, account_id, kind, detail, delay_us=delay_us, key=key)
