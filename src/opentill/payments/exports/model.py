"""What sheets are narrowed to, their pages, and exports that are written in the background."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sheet is narrowed to; each sheet heeds what it knows."""

    since: Instant | None = None
    before: Instant | None = None  # exclusive
    status: str = ""
    gateway: str = ""
    order_id: str = ""
    account: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a sheet, how to go on after them (None: they were the last), and the instant they reach."""

    lines: Sequence[Sequence[str]]
    cursor: str | None
    reached_at: Instant | None = None


class ExportState(IntEnum):
    WRITING = 0
    DONE = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class Export:
    """A sheet that is written a page at a time, by whichever process has time, and kept to be fetched."""

    id: str
    owner: Owner
    sheet: str
    wanted: Wanted
    state: ExportState
    cursor: str
    parts: int
    lines: int
    reached_at: Instant | None
    created_by: str
    created_at: Instant
    finished_at: Instant | None
