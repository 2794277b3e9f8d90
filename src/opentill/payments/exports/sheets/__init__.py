"""Every sheet by its name."""

from collections.abc import Mapping
from typing import Final

from opentill.payments.exports.sheet import Sheet
from opentill.payments.exports.sheets import fees, ledger, payments, payouts, refunds

SHEETS: Final[Mapping[str, Sheet]] = {
    sheet.name: sheet for sheet in (payments.SHEET, refunds.SHEET, payouts.SHEET, fees.SHEET, ledger.SHEET)
}
