"""The columns of what a gateway charges in another currency, in payments and in sessions."""

from opentill.db import Row
from opentill.kernel.money import Money, currency
from opentill.payments.model import Conversion


def conversion(row: Row) -> Conversion | None:
    if row["charge_units"] is None:
        return None
    amount = Money(row["charge_units"], currency(row["charge_currency"]))
    return Conversion(amount, row["charge_rate"], row["charge_rate_at"])


def charge_columns(charge: Conversion | None) -> dict[str, object]:
    return {
        "charge_units": charge.amount.units if charge else None,
        "charge_currency": charge.amount.currency.code if charge else None,
        "charge_rate": charge.rate if charge else None,
        "charge_rate_at": charge.rate_at if charge else None,
    }
