"""What becomes of a call to a bank, where it is not a value (pix-rail.md §5).

CallFailed
├── NotSent      certain: nothing was changed; may be asked again under the same id. Reads that fail end here too
├── Ambiguous    a write that may have been carried out; only a read may follow
├── Refused      certain: the provider said no
└── Denied       credentials or contract; nothing was carried out; an operator must look
"""

from collections.abc import Sequence
from typing import ClassVar


class CallFailed(Exception):  # noqa: N818 - an outcome of a call
    """A call came to nothing, or nobody knows. *outcome* is its word in the call log."""

    outcome: ClassVar[str]


class NotSent(CallFailed):
    """Nothing was changed at the provider. The same call may be made again, not before `retry_after_s`."""

    outcome = "not_sent"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Ambiguous(CallFailed):
    """A write may have been carried out. Only a read may follow."""

    outcome = "ambiguous"


class Refused(CallFailed):
    """The provider refused, and nothing was changed. *code* is a canonical reason of pix-rail.md §10.

    *rail_code* is the rail's own code for it, `AC03`, where it gave one.
    """

    outcome = "refused"

    def __init__(self, code: str, detail: str, violations: Sequence[str] = (), *, rail_code: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.violations = tuple(violations)
        self.rail_code = rail_code


class Denied(CallFailed):
    """The provider does not accept our credentials, or the contract lacks this product."""

    outcome = "denied"


class UntrustedNotification(Exception):  # noqa: N818 - it says what the request is
    """A notification that does not prove that it comes from the bank. Nothing of it is kept."""


class UnreadableNotification(ValueError):  # noqa: N818 - it says what the body is
    """A notification whose body is not what banks send. It is kept and shown to an operator."""
