"""The panel: sessions, roles, second factors, the chained audit log."""

from opentill.db.migrations import beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    beside.run(__file__)
