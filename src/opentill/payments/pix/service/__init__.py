"""PIX money and payments: each function is one arrow of pix-api.md §16.2, in one transaction.

A charge belongs to exactly one payment. Locks are taken payment first, then charge.

charges     begun, made known, given up, ended without money
money       what arrived: booked once, whoever tells of it
told        what events say of both
"""

from opentill.payments.pix.service.charges import (
    Intent,
    abandon,
    announce,
    cancel,
    expire,
    intend_cash_in,
    intend_checkout_charge,
    reject,
)
from opentill.payments.pix.service.locks import charge_of, locked, locked_both, require_no_code
from opentill.payments.pix.service.money import (
    is_counted,
    note_returns,
    receipt_of,
    receive,
    seen_by_hand,
    settle_accepted,
)
from opentill.payments.pix.service.told import charge_part, receipt_part

__all__ = [
    "Intent",
    "abandon",
    "announce",
    "cancel",
    "charge_of",
    "charge_part",
    "expire",
    "intend_cash_in",
    "intend_checkout_charge",
    "is_counted",
    "locked",
    "locked_both",
    "note_returns",
    "receipt_of",
    "receipt_part",
    "receive",
    "reject",
    "require_no_code",
    "seen_by_hand",
    "settle_accepted",
]
