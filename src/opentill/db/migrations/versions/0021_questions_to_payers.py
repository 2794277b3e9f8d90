"""Whoever decides on a payment may ask its payer something, in the language the payer reads."""

from opentill.db.migrations import beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    beside.run(__file__)
