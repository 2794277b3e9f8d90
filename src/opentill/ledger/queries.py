"""Balances, read from the account rows the database keeps."""

from opentill.db import ReadTx
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.ledger.model import Account


def balance(tx: ReadTx, account: Account, code: str, *, owner: Owner) -> Money:
    """Return one account's balance; zero where nothing was ever posted."""
    row = tx.one_or_none(
        """
        select balance_units from ledger_account
         where merchant_id = :merchant_id and mode = :mode and currency = :currency
           and kind = :kind and gateway = :gateway
        """,
        **owner.columns,
        currency=code,
        kind=account.kind,
        gateway=account.gateway,
    )
    return Money(row["balance_units"] if row else 0, currency(code))
