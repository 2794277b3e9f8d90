"""What the books say moved on a bank account, by the rail's names; read-only."""

from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.payments.matching.rules import Line
from opentill.pix.model import Account

_MOVEMENTS: Final = (
    # What came in, whoever it belongs to.
    """
    select ref as name, units from receipt
     where merchant_id = :merchant_id and mode = :mode and gateway = 'pix' and account = :account_text
       and received_at >= :start and received_at < :end
    """,
    # What went back of it, asked for by the merchant, or taken by a contest.
    """
    select r.gateway_ref as name, -r.charge_units as units
      from refund r join receipt a on a.id = r.receipt_id
     where r.merchant_id = :merchant_id and r.mode = :mode and r.status = 'completed' and r.gateway_ref is not null
       and a.gateway = 'pix' and a.account = :account_text and r.processed_at >= :start and r.processed_at < :end
    """,
    """
    select return_id as name, -units as units from pix_infraction_return
     where merchant_id = :merchant_id and mode = :mode and account_id = :account_id
       and returned_at >= :start and returned_at < :end
    """,
    # What was sent, and came back.
    """
    select end_to_end_id as name, -units as units from pix_payout
     where merchant_id = :merchant_id and mode = :mode and account_id = :account_id
       and state in ('completed', 'returned') and end_to_end_id is not null
       and completed_at >= :start and completed_at < :end
    """,
    """
    select return_id as name, units from pix_payout_return
     where merchant_id = :merchant_id and mode = :mode and account_id = :account_id
       and returned_at >= :start and returned_at < :end
    """,
)


def booked(tx: ReadTx, account: Account, start: Instant, end: Instant, *, receipts_only: bool = False) -> list[Line]:
    """Return what moved on an account from *start* until before *end*, as far as it is booked."""
    params = {
        "merchant_id": account.owner.merchant_id,
        "mode": int(account.owner.mode),
        "start": start,
        "end": end,
    }
    found: list[Line] = []
    for sql in _MOVEMENTS[:1] if receipts_only else _MOVEMENTS:
        named = {"account_text": str(account.id)} if ":account_text" in sql else {"account_id": account.id}
        found += [Line(row["name"], row["units"]) for row in tx.all(sql, **params, **named)]
    return found


def listed(rows: Sequence[tuple[str, int]]) -> list[Line]:
    """Return a bank's movements, which are in centavos, as lines."""
    return [Line(name, centavos * 100) for name, centavos in rows]
