"""Removing a bank account: only once nothing is under way through it, as what its bank holds cannot be asked after."""

from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict
from opentill.pix import accounts, store
from opentill.pix.model import Account
from opentill.pix.payouts.model import State as PayoutState

_OVER: Final = (PayoutState.COMPLETED, PayoutState.RETURNED, PayoutState.FAILED)
_UNDER_WAY: Final = {
    "charges": """
        select count(*) as found from pix_charge
         where account_id = :id and (state in ('creating', 'active', 'paying') or next_check_at is not null)
        """,
    "payouts": f"""
        select count(*) as found from pix_payout
         where account_id = :id and state not in ({", ".join(f"'{state}'" for state in _OVER)})
        """,
    "refunds": """
        select count(*) as found from refund r join receipt a on a.id = r.receipt_id
         where a.gateway = 'pix' and a.account = cast(:id as text) and r.status = 'pending'
        """,
    "infractions": """
        select count(*) as found from pix_infraction
         where account_id = :id and state in ('open', 'defended', 'accepted')
        """,
}


def remove_account(tx: Tx, account_id: int, *, now: Instant) -> Account:
    """Remove a paused account: its credentials, notification address and keys are forgotten, its books stay.

    Raises Conflict where it is at work, or something that went through it is not over.
    """
    account = accounts.locked(tx, account_id)
    if account.active:
        raise Conflict("ACCOUNT_ACTIVE", "The account is at work. Pause it first.")
    matters = under_way(tx, account)
    if any(matters.values()):
        raise Conflict(
            "ACCOUNT_IN_USE",
            "Not everything is over that went through the account: %(charges)s charges, %(payouts)s payouts, "
            "%(refunds)s refunds, %(infractions)s contests.",
            **matters,
        )
    store.forget_account(tx, account, now=now)
    tx.run("update pix_payout set due_at = null where account_id = :id and due_at is not null", id=account.id)
    return account


def under_way(tx: ReadTx, account: Account) -> dict[str, int]:
    """Return how many of each matter are not over at an account."""
    return {name: int(tx.all(sql, id=account.id)[0]["found"]) for name, sql in _UNDER_WAY.items()}
