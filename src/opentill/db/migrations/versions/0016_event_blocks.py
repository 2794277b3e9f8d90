"""Blocks of events, counted as those of payments are; blocks know the times of what they hold."""

from opentill.db.migrations import beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    beside.run(__file__)
