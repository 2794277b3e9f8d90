"""Refusals as answers of the PIX API: one table of statuses, two envelopes (pix-api.md §8.1)."""

from typing import Final

from opentill.api.external.call import ExternalCall
from opentill.kernel.errors import Busy, Conflict, Fault, Invalid, NotFound, Refused
from opentill.web import idempotency
from opentill.web.exchange import Answer, Header
from opentill.web.json_body import MalformedJson, write

MISSING: Final = "MISSING_FIELD"  # the code of a fault that is answered with 400 instead of 422
OUR_FAULT: Final = "Internal error"


class Stopped(Refused):
    """A check before the operation said no, with its own status and headers."""

    def __init__(self, status: int, message: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(str(status), message)
        self.status = status
        self.headers = headers


def wrong(field: str, message: str) -> Invalid:
    """Return the refusal of a field that is present but wrong."""
    return Invalid([Fault(field, "INVALID_FIELD", message)])


def missing(field: str) -> Invalid:
    """Return the refusal of a request without a required field."""
    return Invalid([Fault(field, MISSING, f"The {field} field is required")])


def unusable(field: str, message: str) -> Invalid:
    """Return the refusal of a field that cannot be read at all, which is answered as a missing one is."""
    return Invalid([Fault(field, MISSING, message)])


def refused(call: ExternalCall, refusal: Refused) -> Answer:
    """Return the answer to a refusal."""
    match refusal:
        case Stopped():
            return _stopped(refusal.status, refusal.message, refusal.headers)
        case MalformedJson():
            return _stopped(400, "Invalid JSON body")
        case Conflict(code=idempotency.IN_PROGRESS):
            text = "A request with this Idempotency-Key is still being processed"
            return _stopped(409, text, _retry_after(1))
        case Conflict(code=idempotency.REUSED):
            return _stopped(422, "Idempotency-Key was used with another body")
        case Busy(code="SERVICE_UNAVAILABLE"):
            return _stopped(503, "Service unavailable", _retry_after(max(refusal.retry_after_s, 1)))
        case _ if not call.operating:
            return _stopped(422, refusal.message)
        case Invalid():
            return _declined(400 if refusal.faults[0].code == MISSING else 422, refusal.message)
        case NotFound():
            return _declined(404, refusal.message)
        case Busy():
            return _declined(503, refusal.message, _retry_after(refusal.retry_after_s))
        case _:
            return _declined(422, refusal.message)


def failed() -> Answer:
    """Return the 500 of a bug."""
    return _stopped(500, OUR_FAULT)


def _stopped(status: int, message: str, headers: tuple[Header, ...] = ()) -> Answer:
    return Answer(status, write({"error": {"status": status, "message": message}}), headers)


def _declined(status: int, detail: str, headers: tuple[Header, ...] = ()) -> Answer:
    return Answer(status, write({"worked": False, "detail": detail}), headers)


def _retry_after(seconds: int) -> tuple[Header, ...]:
    return ((b"retry-after", b"%d" % seconds),)
