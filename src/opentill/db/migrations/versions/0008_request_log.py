"""The request log: what each API key and credential asked for (merchant-api.md §16.1)."""

from opentill.db.migrations import beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    beside.run(__file__)
