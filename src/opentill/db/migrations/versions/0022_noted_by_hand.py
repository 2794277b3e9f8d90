"""Money that a person noted is found by the letters of its PIX id, however many ids begin alike."""

from opentill.db.migrations import beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    beside.run(__file__)
