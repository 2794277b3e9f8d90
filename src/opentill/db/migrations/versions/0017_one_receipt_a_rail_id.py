"""An id of the PIX rail names one receipt of an owner, whichever account, or person, tells of it."""

from opentill.db.migrations import beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    beside.run(__file__)
