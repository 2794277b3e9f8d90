"""What the owner of an account may have happen, as if payers, recipients and other banks did it (pix-api.md §19.1)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.kernel.errors import NotFound, Refused
from opentill.sandbox_psp import faults, infractions, payouts, receipts, returns
from opentill.sandbox_psp.accounts import account_id_of
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.store import Row

REFUSED: Final = "SANDBOX_REFUSED"


class Desk:
    """The desk of one account: each method is a transaction of the bank, and reaches nobody else's rows.

    Raises NotFound for what the account does not have, and Refused for what no bank would do. *changed* is called
    afterwards: something may be due.
    """

    def __init__(self, frame: Frame, client_id: str, changed: Callable[[], None]) -> None:
        self._frame = frame
        self._client_id = client_id
        self._changed = changed

    def pay_charge(self, txid: str, order: Mapping[str, Any]) -> Sequence[str]:
        """Pay a charge, also one that is over: money is final, so it arrives. Return the end-to-end ids.

        *order*: `amount` (centavos), `count`, `copies` of the notification, `payer`, `delay_ms`; all may be absent.
        """
        with self._acting() as account_id:
            return receipts.pay(self._frame, {**order, "txid": txid, "force": True}, account_id)

    def pay_key(self, key: str, centavos: int, *, label: str | None = None, e2e_id: str | None = None) -> str:
        """Pay to a key of the account without a charge; return the end-to-end id. Told of only with a *label*."""
        order = {"key": key, "amount": centavos, "label": label} | ({"e2e_id": e2e_id} if e2e_id else {})
        with self._acting() as account_id:
            row = self._frame.store.one("select account_id from account_key where key = :key", key=key)
            if row is None or row["account_id"] != account_id:
                raise Problem("NaoEncontrado")
            return receipts.pay(self._frame, order, account_id)[0]

    def end_charge(self, txid: str) -> None:
        """Let the time of a charge be over now."""
        with self._acting() as account_id:
            charge = self._one("charge", "txid = :name", account_id, txid)
            self._frame.store.run(
                "update charge set expires_in_s = :elapsed where id = :id",
                id=charge["id"],
                elapsed=max(0, self._frame.now() - charge["created_at"]) // SECOND,
            )

    def settle_payout(self, ref: str, *, completed: bool, code: str | None) -> bool:
        """End a payout that waits, with a *code* of the rail where it fails; return whether it waited."""
        with self._acting() as account_id:
            payout = self._one("payout", "ref = :name", account_id, ref)
            status = "REALIZADO" if completed else "NAO_REALIZADO"
            return payouts.settle(self._frame, payout, status, None if completed else code)

    def return_payout(self, ref: str, centavos: int | None, reason: str) -> str:
        """Have the recipient's bank return a payout, all that is left unless told how much; return the return's id."""
        with self._acting() as account_id:
            payout = self._one("payout", "ref = :name", account_id, ref)
            return payouts.give_back(self._frame, payout, centavos, reason)

    def settle_return(self, ref: str, *, completed: bool) -> bool:
        """End a return that stays in progress; return whether it did."""
        with self._acting() as account_id:
            row = self._one("return", "ref = :name", account_id, ref)
            if row["status"] in returns.FINAL:
                return False
            ending = ("DEVOLVIDO", None) if completed else ("NAO_REALIZADO", returns.FAILURE)
            returns.settle(self._frame, row["id"], *ending)
            return True

    def contest(self, e2e_id: str, centavos: int | None, reason: str) -> str:
        """Have the payer contest a receipt, all of it unless told how much; return the contest's name."""
        with self._acting() as account_id:
            receipt = self._one("receipt", "e2e_id = :name", account_id, e2e_id)
            return infractions.open_infraction(self._frame, receipt, centavos, reason)

    def resolve(self, name: str, result: str, centavos: int | None) -> None:
        """Close a contest; where the banks agreed, its money goes back."""
        with self._acting() as account_id:
            self._one("infraction", "name = :name", account_id, name)
            infractions.resolve(self._frame, name, result, centavos)

    def add_fault(self, asked: Mapping[str, Any]) -> str:
        """Script something that goes wrong (§19.4); return its id."""
        with self._acting() as account_id:
            try:
                return faults.add(self._frame, account_id, asked)
            except faults.UnknownFault:
                raise Refused("INVALID_FAULT", "fault is invalid") from None

    def faults(self) -> Sequence[Mapping[str, Any]]:
        """Return what is still to go wrong, with the times it did."""
        with self._acting() as account_id:
            return faults.listed(self._frame, account_id)

    def clear_faults(self) -> None:
        with self._acting() as account_id:
            faults.clear(self._frame, account_id)

    def _one(self, table: str, condition: str, account_id: int, name: str) -> Row:
        row = self._frame.store.one(
            f"select * from {table} where {condition} and account_id = :account_id", name=name, account_id=account_id
        )
        if row is None:
            raise Problem("NaoEncontrado")
        return row

    @contextmanager
    def _acting(self) -> Iterator[int]:
        """Open a transaction and yield the account; what the bank refuses becomes our refusal."""
        try:
            with self._frame.store.transaction():
                yield account_id_of(self._frame, self._client_id) or 0
        except Problem as problem:
            if problem.status == 404:
                raise NotFound("NOT_AT_THE_BANK", "The sandbox bank has nothing of this name") from None
            raise Refused(REFUSED, "The sandbox bank refused this") from None
        finally:
            self._changed()
