"""What is due on the agenda, other than telling somebody: payments, removals, settlements."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.sandbox_psp import infractions, payouts, returns
from opentill.sandbox_psp.announcing import announce
from opentill.sandbox_psp.charges import remove_by_bank
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import pay
from opentill.sandbox_psp.store import Row

Happening = Callable[[Frame, int, Mapping[str, Any]], object]


def carry_out_due(frame: Frame) -> None:
    """Carry out what is due. What is impossible by now does not happen."""
    due = frame.store.all(
        "select * from effect where due_at <= :now and kind not like 'notify%' order by due_at, id", now=frame.now()
    )
    for effect in due:
        frame.store.run("delete from effect where id = :id", id=effect["id"])
        try:
            _HAPPENINGS[effect["kind"]](frame, effect["account_id"], json.loads(effect["detail"]))
        except Problem:
            continue


def _pay(frame: Frame, account_id: int, detail: Mapping[str, Any]) -> None:
    pay(frame, detail["order"], account_id)


def _remove(frame: Frame, _account_id: int, detail: Mapping[str, Any]) -> None:
    remove_by_bank(frame, detail["charge_id"])


def _settle_return(frame: Frame, _account_id: int, detail: Mapping[str, Any]) -> None:
    returns.settle(frame, detail["id"], detail["status"], detail.get("reason"))


def _settle_payout(frame: Frame, _account_id: int, detail: Mapping[str, Any]) -> None:
    payouts.carry_out(frame, detail)


def _contest(frame: Frame, _account_id: int, detail: Mapping[str, Any]) -> None:
    receipt = _receipt_of(frame, detail["charge_id"])
    if receipt is not None:
        infractions.open_infraction(frame, receipt, None, "FRAUD")


def _give_back(frame: Frame, _account_id: int, detail: Mapping[str, Any]) -> None:
    """Return a charge's receipt unasked. Where its payment was kept quiet, it is announced after its return."""
    receipt = _receipt_of(frame, detail["charge_id"])
    if receipt is None:
        return
    returns.return_unasked(frame, receipt, receipt["amount"], detail["nature"])
    if detail.get("then_announce"):
        announce(frame, receipt, 1, delay_us=SECOND)


def _receipt_of(frame: Frame, charge_id: int) -> Row | None:
    return frame.store.one("select * from receipt where charge_id = :id order by id limit 1", id=charge_id)


_HAPPENINGS: Final[dict[str, Happening]] = {
    "pay": _pay,
    "remove": _remove,
    "settle return": _settle_return,
    "settle payout": _settle_payout,
    "contest": _contest,
    "give back": _give_back,
}
