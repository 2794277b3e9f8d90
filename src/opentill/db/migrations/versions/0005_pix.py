"""Payouts, returns and infractions of the PIX rail."""

from opentill.db.migrations import beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    beside.run(__file__)
