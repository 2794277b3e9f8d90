"""An id that a payer submits counts once, also of those that are kept in capitals and small letters."""

from opentill.db.migrations import beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    beside.run(__file__)
