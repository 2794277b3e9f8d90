"""Bank accounts can be paused and removed."""

from opentill.db.migrations import beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    beside.run(__file__)
