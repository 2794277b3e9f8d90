"""What was read of a feed and not acknowledged yet is found without passing over all that was acknowledged before."""

from opentill.db.migrations import beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    beside.run(__file__)
