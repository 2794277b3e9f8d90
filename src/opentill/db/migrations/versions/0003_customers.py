"""Customers, payment links and invoices."""

from opentill.db.migrations import beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    beside.run(__file__)
