"""What makes a list a sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.payments.exports.model import Page, Wanted


@dataclass(frozen=True, slots=True)
class Sheet:
    """A list as lines of text: its columns, who may have it, and how to read on after a cursor, `""` at first."""

    name: str
    permission: str
    head: Sequence[str]
    page: Callable[[ReadTx, Wanted, str, Owner, Instant], Page]
