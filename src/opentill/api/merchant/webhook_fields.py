"""Reading what a request says of an endpoint (merchant-api.md §9.13, §14.6). Absent means as it was."""

from dataclasses import replace
from typing import Final, TypeVar

from opentill.payments.fields import WHOLE, Fields
from opentill.webhooks.catalogue import ALL
from opentill.webhooks.model import AmountFormat, Options, Payments, SignatureFormat
from opentill.webhooks.service.rotation import OVERLAP_DEFAULT_S, OVERLAP_MAX_S

T = TypeVar("T")

SIGNATURE_FORMATS: Final = {form.name.lower(): form for form in SignatureFormat}
STATUSES: Final = {"active": True, "inactive": False}


def options(fields: Fields, before: Options | None = None) -> Options:
    """Return the options of a new or a changed endpoint; faults are kept in *fields*."""
    before = before or Options()
    amounts = {form.value: form for form in AmountFormat}
    whose = {kind.value: kind for kind in Payments}
    description = fields.text("description")
    return replace(
        before,
        events=_events(fields, before.events),
        description=before.description if description is None else description,
        signature_format=_one_of(fields, "signature_format", SIGNATURE_FORMATS, before.signature_format),
        amount_format=_one_of(fields, "amount_format", amounts, before.amount_format),
        payments=_one_of(fields, "payments", whose, before.payments),
        max_in_flight=_whole(fields, "max_concurrency", before.max_in_flight),
    )


def active(fields: Fields) -> bool | None:
    """Return whether the endpoint is to be in service; None leaves it as it is."""
    known: dict[str, bool | None] = {**STATUSES}
    return _one_of(fields, "status", known, None)


def overlap_s(fields: Fields) -> int:
    """Return for how long the old secret goes on signing."""
    seconds = _whole(fields, "overlap_seconds", OVERLAP_DEFAULT_S)
    if not 0 <= seconds <= OVERLAP_MAX_S:
        fields.fault("overlap_seconds", "VALIDATION_FAILED", f"overlap_seconds must be at most {OVERLAP_MAX_S}.")
    return seconds


def _events(fields: Fields, before: tuple[str, ...] | None) -> tuple[str, ...] | None:
    name, asked = fields.raw("events")
    if asked is None:
        return before
    if not isinstance(asked, list) or not all(isinstance(event, str) for event in asked):
        fields.fault(name, "INVALID_EVENTS", "events must be a list of names.")
        return before
    names = tuple(dict.fromkeys(asked))
    return None if not names or ALL in names else names


def _one_of(fields: Fields, name: str, known: dict[str, T], otherwise: T) -> T:
    text = fields.text(name)
    if text is None:
        return otherwise
    if text not in known:
        fields.fault(name, "VALIDATION_FAILED", f"{name} must be one of {', '.join(known)}.")
        return otherwise
    return known[text]


def _whole(fields: Fields, name: str, otherwise: int) -> int:
    text = fields.text(name)
    if text is None:
        return otherwise
    if not WHOLE.fullmatch(text):
        fields.fault(name, "VALIDATION_FAILED", f"{name} must be a whole number.")
        return otherwise
    return int(text)
