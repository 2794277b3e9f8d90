"""Payments are found by the provider's reference without reading all of an owner's."""

from opentill.db.migrations import beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    beside.run(__file__)
