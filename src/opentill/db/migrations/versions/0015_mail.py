"""Mail: the letters that wait for the mail server, and the language an operator reads."""

from opentill.db.migrations import beside

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    beside.run(__file__)
