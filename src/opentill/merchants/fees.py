"""What a completed payment costs (merchant-api.md §6.3, pix-api.md §15.4)."""

from opentill.db import ReadTx
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.merchants.model import FeeRule


def fee_of(tx: ReadTx, amount: Money, *, gateway: str, owner: Owner) -> Money:
    """Return the fee on an amount by the most specific active rule; zero where there is none."""
    row = tx.one_or_none(
        """
        select fixed_units, basis_points, min_units, max_units
          from fee_rule
         where active = 1
           and coalesce(merchant_id, :merchant_id) = :merchant_id
           and coalesce(gateway, :gateway) = :gateway
           and coalesce(currency, :currency) = :currency
         order by case when merchant_id is null then 1 else 0 end,
                  case when gateway is null then 1 else 0 end,
                  case when currency is null then 1 else 0 end
         limit 1
        """,
        merchant_id=owner.merchant_id,
        gateway=gateway,
        currency=amount.currency.code,
    )
    if row is None:
        return Money(0, amount.currency)
    rule = FeeRule(row["fixed_units"], row["basis_points"], row["min_units"], row["max_units"])
    return fee_by(rule, amount, exact=gateway == "pix")


def fee_by(rule: FeeRule, amount: Money, *, exact: bool) -> Money:
    """Return the fee by one rule, never above the amount.

    PIX fees keep their fractions of a centavo (*exact*); all others are rounded half up to a minor unit.
    """
    fee = Money(rule.fixed_units, amount.currency) + amount.share(rule.basis_points)
    if not exact:
        fee = fee.rounded()
    units = max(fee.units, rule.min_units or 0)
    if rule.max_units is not None:
        units = min(units, rule.max_units)
    return Money(min(units, amount.units), amount.currency)
