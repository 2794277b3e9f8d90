"""Refunds, disputes and the finer life of a payment."""

from opentill.db.migrations import beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    beside.run(__file__)
