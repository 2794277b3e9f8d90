"""The keys that sign for an owner are found by the owner, those that retire too (webhooks.md §6.4)."""

from opentill.db.migrations import beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    beside.run(__file__)
