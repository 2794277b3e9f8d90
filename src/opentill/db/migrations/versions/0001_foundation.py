"""Every table of the foundation."""

from opentill.db.migrations import beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    beside.run(__file__)
