"""Expected failures.

    Refused              what someone asked for cannot be done; carries a code and a sentence
    ├── Invalid          one or more fields are wrong; carries every fault
    ├── NotFound         nothing of that name belongs to the caller
    ├── Conflict         it exists, but its state or another request forbids it
    ├── Forbidden        the caller may not
    └── Busy             not now; says when to come back

Each API dialect has one table that gives a refusal its status and shape. Any other exception is a bug:
a 500 that says nothing but its request id.

A sentence that names something leaves a place for it, so that a page can say it in the reader's language:

    raise Conflict("KEY_TAKEN", "The key %(key)s leads to an account already.", key=key.value)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field


def filled(text: str, named: Mapping[str, object]) -> str:
    """Return a sentence with what it names in its places."""
    return text % named if named else text


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """Something that was asked for cannot be done, with a reason a person can act on."""

    def __init__(self, code: str, text: str, **named: object) -> None:
        self.code = code
        self.text = text
        self.named = named
        self.message = filled(text, named)
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that is wrong: the name the caller sent it under, a code and a sentence."""

    field: str
    code: str
    text: str
    named: Mapping[str, object] = dataclass_field(default_factory=dict)

    @property
    def message(self) -> str:
        """Return the sentence in English."""
        return filled(self.text, self.named)


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

    def __init__(self, code: str, text: str, *, retry_after_s: int) -> None:
        super().__init__(code, text)
        self.retry_after_s = retry_after_s
