"""Live or sandbox. The two never meet: every row, key and query names its mode."""

from enum import IntEnum


class Mode(IntEnum):
    """Stored as `mode smallint`."""

    LIVE = 0
    SANDBOX = 1
