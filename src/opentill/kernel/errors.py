"""Expected failures.

    Refused              what someone asked for cannot be done; carries a code and a sentence
    ├── Invalid          one or more fields are wrong; carries every fault
    ├── NotFound         nothing of that name belongs to the caller
    ├── Conflict         it exists, but its state or another request forbids it
    ├── Forbidden        the caller may not
    └── Busy             not now; says when to come back

Each API dialect has one table that gives a refusal its status and shape. Any other exception is a bug:
a 500 that says nothing but its request id.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """Something that was asked for cannot be done, with a reason a person can act on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that is wrong: the name the caller sent it under, a code and a sentence."""

    field: str
    code: str
    message: str


class Invalid(Refused):
    """The request's fields are wrong. Nothing was done."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("VALIDATION_ERROR", faults[0].message)
        self.faults = tuple(faults)


class NotFound(Refused):
    """Nothing of that name belongs to the caller."""


class Conflict(Refused):
    """The thing exists, but its state or another request forbids the change."""


class Forbidden(Refused):
    """The caller is known but may not do this."""


class Busy(Refused):
    """The service cannot do this now."""

    def __init__(self, code: str, message: str, *, retry_after_s: int) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s
