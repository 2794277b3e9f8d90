"""What the merchant API keeps about its callers."""

from opentill.db.migrations import beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    beside.run(__file__)
