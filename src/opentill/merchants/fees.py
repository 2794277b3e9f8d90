"""What a completed payment costs (merchant-api.md §6.3, pix-api.md §15.4)."""

import json
from typing import Final

from opentill.db import ReadTx
from opentill.kernel.money import UNITS_PER_MINOR, WHOLE, Money, half_up
from opentill.kernel.owner import Owner
from opentill.merchants.model import FeeRule, Tier

PIX: Final = "pix"
PAYOUTS: Final = "pix-payout"  # what rules are named for that price payouts; else those of receiving do


def fee_of(tx: ReadTx, amount: Money, *, gateway: str, owner: Owner) -> Money:
    """Return the fee on an amount by the most specific active rule; zero where there is none."""
    rule = _rule(tx, amount, (gateway, gateway), owner)
    return fee_by(rule, amount, exact=gateway == PIX) if rule else Money(0, amount.currency)


def payout_fee_of(tx: ReadTx, amount: Money, *, owner: Owner) -> Money:
    """Return what sending an amount through PIX costs. It comes on top, so it may be more than the amount."""
    rule = _rule(tx, amount, (PAYOUTS, PIX), owner)
    return fee_by(rule, amount, exact=True, capped=False) if rule else Money(0, amount.currency)


def _rule(tx: ReadTx, amount: Money, gateways: tuple[str, str], owner: Owner) -> FeeRule | None:
    """Return the most specific active rule. Whose it is comes first, then what it is for, then in what."""
    row = tx.one_or_none(
        """
        select fixed_units, basis_points, joined, tiers, min_units, max_units
          from fee_rule
         where active = 1
           and coalesce(merchant_id, :merchant_id) = :merchant_id
           and coalesce(gateway, :first) in (:first, :second)
           and coalesce(currency, :currency) = :currency
         order by case when merchant_id is null then 1 else 0 end,
                  case when gateway = :first then 0 when gateway is not null then 1 else 2 end,
                  case when currency is null then 1 else 0 end
         limit 1
        """,
        merchant_id=owner.merchant_id,
        first=gateways[0],
        second=gateways[1],
        currency=amount.currency.code,
    )
    if row is None:
        return None
    tiers = tuple(Tier(*tier) for tier in json.loads(row["tiers"] or "[]"))
    return FeeRule(
        row["fixed_units"], row["basis_points"], row["min_units"], row["max_units"], row["joined"] == "greater", tiers
    )


def fee_by(rule: FeeRule, amount: Money, *, exact: bool, capped: bool = True) -> Money:
    """Return the fee by one rule, never above the amount if it is *capped*.

    PIX fees keep their fractions of a centavo (*exact*); all others are rounded half up to a minor unit.
    """
    part = rule.part_for(amount.units)
    flat, share = part.fixed_units * WHOLE, amount.units * part.basis_points  # in 1/10,000 of a unit, rounded once
    fee = max(flat, share) if rule.greater else flat + share
    step = 1 if exact else UNITS_PER_MINOR
    units = max(half_up(fee, WHOLE * step) * step, rule.min_units or 0)
    if rule.max_units is not None:
        units = min(units, rule.max_units)
    return Money(min(units, amount.units) if capped else units, amount.currency)
