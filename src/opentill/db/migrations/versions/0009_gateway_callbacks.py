"""Callbacks of gateways, kept as they came (merchant-api.md §13)."""

from opentill.db.migrations import beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    beside.run(__file__)
