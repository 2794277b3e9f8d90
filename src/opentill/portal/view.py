"""What the portal's pages are told. Values in, values out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

from opentill.kernel.clock import SECOND, Instant, after
from opentill.outbound.model import Phases
from opentill.webhooks import schema
from opentill.webhooks.model import DeliveryState, Dialect
from opentill.webhooks.portal_access import Visitor
from opentill.webhooks.queries import AttemptRow, DeliveryRow
from opentill.webhooks.queries.portal import Card
from opentill.webhooks.replaying import ALL, MATCHING, MISSING
from opentill.webhooks.schedules import schedule_of
from opentill.webhooks.service import Replay

ACTIONS: Final = ("test", "rotate", "change", "activate", "again", "stop")
STATES: Final = {state.name.lower(): state for state in DeliveryState}
REPLAYS: Final = frozenset((MISSING, ALL, MATCHING))
JOBS_SHOWN: Final = 5
SAMPLES: Final = {"Python": "python.txt", "Node": "node.txt", "PHP": "php.txt"}
EVENT_CHARACTERS_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries a reader asked for."""

    state: str | None = None
    event: str | None = None
    before: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """Read the filter; what is none is left out."""
        state, before = query.get("state", ""), query.get("before", "")
        return cls(
            state=state if state in STATES else None,
            event=query.get("event", "")[:EVENT_CHARACTERS_MAX] or None,
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
        )


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt as the page shows it: always as text, never interpreted."""

    row: AttemptRow

    @property
    def ms(self) -> float:
        return round(self.row.duration_us / 1000, 1)

    @property
    def error(self) -> str | None:
        return self.row.detail.get("error")

    @property
    def request(self) -> str:
        """Return the request line and headers as they went out; secret values are hidden already."""
        detail = self.row.detail
        lines = [f"{detail.get('method', '')} {detail.get('url', '')}".strip()]
        return "\n".join([*lines, *_lines(detail.get("headers", ()))])

    @property
    def answer(self) -> str:
        """Return the kept part of the answer, headers and body."""
        body = (self.row.body or b"").decode("utf-8", "replace")
        return "\n".join([*_lines(self.row.detail.get("answer_headers", ())), "", body]).strip()

    @property
    def is_cut(self) -> bool:
        return bool(self.row.detail.get("body", {}).get("cut"))

    @property
    def phases(self) -> list[tuple[str, float]]:
        """Return how long each step took, in milliseconds."""
        found = zip(Phases._fields, self.row.detail.get("phases_us", ()), strict=False)
        return [(name, round(us / 1000, 1)) for name, us in found]


def _lines(headers: Sequence[Sequence[str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A delivery with its endpoint, its attempts, and the bytes it carries if they are still stored."""

    row: DeliveryRow
    card: Card
    attempts: Sequence[AttemptRow]
    body: bytes | None

    @property
    def tries(self) -> "list[Try]":
        return [Try(attempt) for attempt in self.attempts]

    @property
    def body_text(self) -> str | None:
        return None if self.body is None else self.body.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Job:
    """A bulk operation with its progress."""

    id: str
    created_at: Instant
    queued: int
    state: str


def jobs_of(replays: Sequence[Replay]) -> list[Job]:
    """Return the newest bulk operations; those of activating or deleting are nobody's to stop."""
    told = [one for one in replays if one.kind in REPLAYS][:JOBS_SHOWN]
    return [Job(one.id, one.created_at, one.queued, one.state.name.lower()) for one in told]


def coming_tries(page: DeliveryPage) -> list[Instant]:
    """Return when a delivery will be tried until its schedule ends, without chance, if nothing gets better."""
    row, endpoint = page.row, page.card.endpoint
    if row.state is not DeliveryState.DUE or row.waits or endpoint.is_pulled:
        return []
    waits = schedule_of(endpoint.dialect, endpoint.options.schedule).waits_s
    times = [Instant(max(row.due_at, row.created_at))]
    for wait_s in waits[row.attempts :]:
        times.append(after(times[-1], wait_s * SECOND))
    return times


def facts_of(visitor: Visitor, card: Card) -> tuple[str, ...]:
    """Return what a form about an endpoint is made for: who sees it, and the endpoint as it stood."""
    return visitor.jti, card.endpoint.public_id, str(card.endpoint.version)


def resend_facts(visitor: Visitor, row: DeliveryRow) -> tuple[str, ...]:
    return visitor.jti, row.public_id, str(int(row.state)), str(row.attempts)


def catalogue_facts(dialects: Sequence[Dialect], query: Mapping[str, str]) -> dict[str, object]:
    """Return the events of dialects, and one of them in full."""
    listed = {dialect.name.lower(): schema.events_of(dialect) for dialect in dialects}
    wanted = query.get("event", "")
    dialect, _, event = wanted.partition(":")
    shown: dict[str, object] | None = None
    if event in listed.get(dialect, ()):
        sample = schema.samples().get(wanted)
        shown = {
            "name": event,
            "dialect": dialect,
            "sample": None if sample is None else pretty(sample),
            "schema": pretty(schema.schema_of(wanted)),
        }
    return {"listed": listed, "shown": shown}


def samples() -> dict[str, str]:
    """Return the verifier of each language: the very files that are tested."""
    folder = files("opentill.portal") / "samples"
    return {name: (folder / file).read_text(encoding="utf-8") for name, file in SAMPLES.items()}


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
