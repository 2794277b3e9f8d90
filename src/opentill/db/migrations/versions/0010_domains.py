"""Merchants' own hosts (merchant-api.md §17.5)."""

from opentill.db.migrations import beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    beside.run(__file__)
