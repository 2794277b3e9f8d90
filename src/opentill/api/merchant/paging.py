"""Query parameters of lists: pages and filters (merchant-api.md §8)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from opentill.api.merchant.call import MerchantCall
from opentill.db import ReadTx
from opentill.kernel.clock import DAY, SECOND, Instant, after, from_datetime
from opentill.kernel.errors import Fault, Invalid
from opentill.payments.model import Detail
from opentill.payments.queries import Filters
from opentill.web.exchange import Answer
from opentill.web.json_body import write

TRANSACTION_WORDS: Final = (*(detail.value for detail in Detail), "disputed")  # the last one is a flag (§9.5)
PER_PAGE: Final = 25
PER_PAGE_MAX: Final = 100
PAGE_MAX: Final = 999_999_999
WHOLE: Final = re.compile(r"\s*([+-]?)([0-9]+)\s*", re.ASCII)
DAY_FORM: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIME_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(\.\d{1,6})?\d*(?:[Zz]|([+\- ])(\d\d):?(\d\d))", re.ASCII
)
CURSOR_FORM: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Row(Protocol):
    """What a list shows; its pages go on from an id."""

    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=Row)


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


def meta(row_ids: Sequence[int], total: int, paging: Paging) -> dict[str, Any]:
    """Return a list's `meta`. *row_ids* are those of the page and of one row more, if there is one."""
    more = len(row_ids) > paging.per_page
    return {
        "page": paging.page,
        "per_page": paging.per_page,
        "total": total,
        "total_pages": -(-total // paging.per_page),
        "next_cursor": paging.cursor_after(row_ids[paging.per_page - 1]) if more else None,
    }


async def answer_page(
    call: MerchantCall,
    page: Callable[..., Sequence[T]],
    count: Callable[[ReadTx], int],
    shown: Callable[[T], dict[str, Any]],
) -> Answer:
    """Answer with the page of a list that the query names. *page* takes `limit`, `offset` and `before`."""
    paging = read_paging(call.query())

    def read(tx: ReadTx) -> tuple[Sequence[T], int]:
        limit = paging.per_page + 1  # one more tells whether there is a next page
        return page(tx, limit=limit, offset=paging.offset, before=paging.before), count(tx)

    rows, total = await call.dependencies.db.read(read)

    data = [shown(row) for row in rows[: paging.per_page]]
    return Answer(200, write({"success": True, "data": data, "meta": meta([row.id for row in rows], total, paging)}))


def read_filters(query: Mapping[str, str], *, words: Sequence[str] = TRANSACTION_WORDS) -> Filters:
    """Read the filters of a list whose status is one of *words*. Raises Invalid for an unreadable date."""
    statuses = query.get("status")
    payment_id = query.get("payment_id")
    return Filters(
        statuses=_known(statuses, words) if statuses else None,
        gateway=query.get("gateway") or None,
        since=_edge(query, "from", end=False),
        before=_edge(query, "to", end=True),
        order_id=query.get("reference") or query.get("order_id") or None,
        payment_uuid=payment_id.lower() if payment_id else None,
    )


def words(text: str | None) -> tuple[str, ...] | None:
    """Read one word or several joined by commas; None where nothing was asked for."""
    return tuple(word.strip() for word in text.split(",")) if text else None


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


def _known(statuses: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the words that can match something; the others match nothing, however many there are."""
    asked = {word.strip() for word in statuses.split(",")}
    return tuple(word for word in words if word in asked)


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


def read_instant(text: str) -> Instant | None:
    """Read a date or a time with offset as the instant it begins at; None where it is neither."""
    try:
        return _span(text.strip())[0]
    except (ValueError, OverflowError):
        return None


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
