"""Fee rules as those who set prices see them: listed, set, ended. The most specific active rule counts."""

from collections.abc import Sequence

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import NotFound
from opentill.merchants.model import FeeRule


def of(tx: ReadTx, *, merchant_id: int) -> Sequence[Row]:
    """Return the active rules of a merchant and those for everybody, the most specific first."""
    return tx.all(
        """
        select id, merchant_id, gateway, currency, fixed_units, basis_points, min_units, max_units, created_at
          from fee_rule where active = 1 and (merchant_id = :merchant_id or merchant_id is null)
         order by case when merchant_id is null then 1 else 0 end, case when gateway is null then 1 else 0 end,
                  case when currency is null then 1 else 0 end, id limit 200
        """,
        merchant_id=merchant_id,
    )


def set_rule(
    tx: Tx, rule: FeeRule, *, merchant_id: int, gateway: str | None, currency: str | None, now: Instant
) -> int:
    """Let a rule hold from now on, in place of any other for the same gateway and currency; return its id."""
    tx.run(
        """
        update fee_rule set active = 0
         where active = 1 and merchant_id = :merchant_id and coalesce(gateway, '') = :gateway
           and coalesce(currency, '') = :currency
        """,
        merchant_id=merchant_id,
        gateway=gateway or "",
        currency=currency or "",
    )
    rows = tx.all(
        """
        insert into fee_rule (merchant_id, gateway, currency, fixed_units, basis_points, min_units, max_units,
                              created_at)
        values (:merchant_id, :gateway, :currency, :fixed_units, :basis_points, :min_units, :max_units, :now)
        returning id
        """,
        merchant_id=merchant_id,
        gateway=gateway,
        currency=currency,
        fixed_units=rule.fixed_units,
        basis_points=rule.basis_points,
        min_units=rule.min_units,
        max_units=rule.max_units,
        now=now,
    )
    made: int = rows[0]["id"]
    return made


def end_rule(tx: Tx, rule_id: int, *, merchant_id: int) -> None:
    """Let a rule of a merchant hold no more. Raises NotFound."""
    if not tx.run(
        "update fee_rule set active = 0 where id = :id and merchant_id = :merchant_id and active = 1",
        id=rule_id,
        merchant_id=merchant_id,
    ):
        raise NotFound("RULE_NOT_FOUND", "No such rule.")
