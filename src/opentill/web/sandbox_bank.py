"""The sandbox bank, as the edges see it: merchants open accounts, and have happen there what payers and banks do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class SandboxDesk(Protocol):
    """What the owner of one account may have happen (pix-api.md §19.1). Amounts are centavos.

    Every method raises NotFound for what the account does not have and Refused for what no bank would do.
    """

    def pay_charge(self, txid: str, order: Mapping[str, Any]) -> Sequence[str]:
        """Pay a charge as *order* says: `amount`, `count`, `copies`, `payer`, `delay_ms`. Return end-to-end ids."""
        ...

    def pay_key(self, key: str, centavos: int, *, label: str | None = None, e2e_id: str | None = None) -> str:
        """Pay to a key without a charge; return the end-to-end id."""
        ...

    def end_charge(self, txid: str) -> None:
        """Let the time of a charge be over now."""
        ...

    def settle_payout(self, ref: str, *, completed: bool, code: str | None) -> bool:
        """End a payout that waits; return whether it waited."""
        ...

    def return_payout(self, ref: str, centavos: int | None, reason: str) -> str:
        """Have a payout returned, all that is left unless told how much; return the return's id."""
        ...

    def settle_return(self, ref: str, *, completed: bool) -> bool:
        """End a return that stays in progress; return whether it did."""
        ...

    def contest(self, e2e_id: str, centavos: int | None, reason: str) -> str:
        """Have a receipt contested; return the contest's name at the bank."""
        ...

    def resolve(self, name: str, result: str, centavos: int | None) -> None:
        """Close a contest."""
        ...

    def add_fault(self, asked: Mapping[str, Any]) -> str:
        """Script something that goes wrong; return its id."""
        ...

    def faults(self) -> Sequence[Mapping[str, Any]]:
        """Return what is still to go wrong."""
        ...

    def clear_faults(self) -> None:
        """Forget it."""
        ...


class SandboxBank(Protocol):
    """Merchants open accounts, payers pay charges with a phone."""

    def open_account(
        self, *, client_id: str, client_secret: str, document: str, name: str, city: str, keys: Iterable[str]
    ) -> None:
        """Open an account with PIX keys. Raises Refused."""
        ...

    async def pay(self, txid: str, *, amount_centavos: int | None = None) -> Sequence[str]:
        """Pay a charge; return the end-to-end ids. Raises Refused where the bank does not let it be paid."""
        ...

    def desk(self, client_id: str) -> SandboxDesk:
        """Return the desk of an account."""
        ...
