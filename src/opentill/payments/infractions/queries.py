"""What screens show beside a contest. Read-only."""

from collections.abc import Sequence

from opentill.db import ReadTx, Row
from opentill.kernel.owner import Owner


def returns(tx: ReadTx, infraction_id: str, *, owner: Owner) -> Sequence[Row]:
    """Return what went back because of a contest, oldest first."""
    return tx.all(
        """
        select id, return_id, units, nature, returned_at from pix_infraction_return
         where infraction_id = :infraction_id and merchant_id = :merchant_id and mode = :mode
         order by created_at, id limit 100
        """,
        infraction_id=infraction_id,
        **owner.columns,
    )


def payment_of(tx: ReadTx, infraction_id: str, *, owner: Owner) -> str | None:
    """Return the reference of the payment whose receipt is contested; None where it paid none."""
    row = tx.one_or_none(
        """
        select p.reference from pix_infraction i
          join receipt r on r.id = i.receipt_id join payment p on p.id = r.payment_id
         where i.id = :id and i.merchant_id = :merchant_id and i.mode = :mode
        """,
        id=infraction_id,
        **owner.columns,
    )
    return row["reference"] if row else None
