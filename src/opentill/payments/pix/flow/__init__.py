"""PIX charges and their bank: intend, call, confirm (pix-rail.md §5, §6.8).

A charge's id is stored before the bank is asked. After an ambiguous answer only reads follow, until one tells.
A notification is a hint: what is booked is what a read at the bank says.

making      cash_in and charge_for: a charge made at its bank
hints       what a bank notified of, read back and booked
looking     what became of a charge; one that nobody finished is given up
removing    a charge taken back before it was paid
sweeping    what a bank lists and nobody told us of
"""

from opentill.payments.pix.flow.bank import BATCH
from opentill.payments.pix.flow.hints import confirm_due_hints
from opentill.payments.pix.flow.looking import look_at, look_at_due, look_at_payment
from opentill.payments.pix.flow.making import cash_in, charge_for
from opentill.payments.pix.flow.removing import PROCESSED, cancel_by_id, cancel_charge
from opentill.payments.pix.flow.sweeping import sweep, sweep_days

__all__ = [
    "BATCH",
    "PROCESSED",
    "cancel_by_id",
    "cancel_charge",
    "cash_in",
    "charge_for",
    "confirm_due_hints",
    "look_at",
    "look_at_due",
    "look_at_payment",
    "sweep",
    "sweep_days",
]
