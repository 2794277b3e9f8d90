"""Blocks of a thousand payments know how many they hold of each state, so that narrowed lists are counted quickly."""

from opentill.db.migrations import beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    beside.run(__file__)
