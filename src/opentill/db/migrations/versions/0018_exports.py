"""Exports are written in the background, so that long ones outlive the page they were asked for on."""

from opentill.db.migrations import beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    beside.run(__file__)
