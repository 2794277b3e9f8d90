"""Query parameters of lists: pages and filters (merchant-api.md §8)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from opentill.kernel.clock import DAY, SECOND, Instant, after, from_datetime
from opentill.kernel.errors import Fault, Invalid
from opentill.payments.model import Detail
from opentill.payments.queries import Filters

PER_PAGE: Final = 25
PER_PAGE_MAX: Final = 100
PAGE_MAX: Final = 999_999_999
WHOLE: Final = re.compile(r"\s*([+-]?)([0-9]+)\s*", re.ASCII)
DAY_FORM: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIME_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(\.\d{1,6})?\d*(?:[Zz]|([+\- ])(\d\d):?(\d\d))", re.ASCII
)
CURSOR_FORM: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Paging:
    """Which rows of a list: a page by its number, or those after a cursor."""

    page: int
    per_page: int
    before: int | None  # rows with ids below this one

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page

    def cursor_after(self, row_id: int) -> str:
        """Return the cursor of the rows that come after this one."""
        return urlsafe_b64encode(str(row_id).encode()).decode().rstrip("=")


def read_paging(query: Mapping[str, str]) -> Paging:
    """Read page, per_page and cursor. Numbers are clamped, never refused; an unreadable cursor is."""
    per_page = min(max(_whole(query.get("per_page"), PER_PAGE), 1), PER_PAGE_MAX)
    if cursor := query.get("cursor"):
        return Paging(1, per_page, _row_id(cursor))
    return Paging(min(max(_whole(query.get("page"), 1), 1), PAGE_MAX), per_page, None)


def read_filters(query: Mapping[str, str]) -> Filters:
    """Read the filters of a list of payments. Raises Invalid for an unreadable date."""
    statuses = query.get("status")
    payment_id = query.get("payment_id")
    return Filters(
        statuses=_known(statuses) if statuses else None,
        gateway=query.get("gateway") or None,
        since=_edge(query, "from", end=False),
        before=_edge(query, "to", end=True),
        order_id=query.get("reference") or query.get("order_id") or None,
        payment_uuid=payment_id.lower() if payment_id else None,
    )


def _whole(text: str | None, otherwise: int) -> int:
    """Read a whole number of any length, as far as it matters."""
    matched = WHOLE.fullmatch(text or "")
    if matched is None:
        return otherwise
    return int(matched[1] + (matched[2].lstrip("0")[:12] or "0"))


def _row_id(cursor: str) -> int:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    if CURSOR_FORM.fullmatch(text) is None:
        message = "The cursor must be a next_cursor of an earlier answer."
        raise Invalid([Fault("cursor", "VALIDATION_FAILED", message)])
    return int(text)


def _known(statuses: str) -> tuple[str, ...]:
    """Return the words that can match something; the others match nothing, however many there are."""
    words = {word.strip() for word in statuses.split(",")}
    return tuple(detail.value for detail in Detail if detail.value in words)


def _edge(query: Mapping[str, str], name: str, *, end: bool) -> Instant | None:
    """Return the first instant of `from`, or the first one after `to`: both ends are inclusive."""
    text = query.get(name)
    if not text:
        return None
    try:
        start, span = _span(text.strip())
    except (ValueError, OverflowError):
        message = f"{name} must be a date such as 2026-03-07 or a time such as 2026-03-07T15:30:00Z."
        raise Invalid([Fault(name, "INVALID_DATE", message)]) from None
    return after(start, span) if end else start


def _span(text: str) -> tuple[Instant, int]:
    """Return the instant that a date or time begins at and how long it lasts, in microseconds."""
    if DAY_FORM.fullmatch(text):
        return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC)), DAY
    matched = TIME_FORM.fullmatch(text)
    if matched is None:
        raise ValueError(text)
    day, clock, fraction, sign, hours, minutes = matched.groups()
    # In a query an unescaped plus sign arrives as a space.
    offset = f"{'-' if sign == '-' else '+'}{hours}:{minutes}" if sign else "+00:00"
    return from_datetime(datetime.fromisoformat(f"{day}T{clock}{fraction or ''}{offset}")), 1 if fraction else SECOND
