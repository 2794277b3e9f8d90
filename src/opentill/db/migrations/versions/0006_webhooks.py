"""The webhook engine in full."""

from opentill.db.migrations import beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    beside.run(__file__)
