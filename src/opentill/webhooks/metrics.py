"""What the engine counts while it works (webhooks.md §14). Labels never hold ids, addresses or names of merchants."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from opentill.kernel.clock import SECOND
from opentill.outbound.model import Phases
from opentill.webhooks.completion import Completed
from opentill.webhooks.model import Dialect, Job, Origin, Result
from opentill.webhooks.rules import DROPPED, GONE

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64)
NOTICES: Final = ("endpoint.", "delivery.")  # the events owners and operators are warned by
PREFIX: Final = "opentill_webhook_"
LABELS_KEPT: Final = 256

_recorded: Final = Counter(f"{PREFIX}events_recorded", "Events that were recorded, when they are planned.", ("type",))
_attempts: Final = Counter(f"{PREFIX}attempts", "Finished attempts.", ("dialect", "outcome", "trigger"))
_blocked: Final = Counter(f"{PREFIX}blocked", "Attempts the address guard refused.", ("rule",))
_attempt_s: Final = Histogram(f"{PREFIX}attempt_seconds", "Time of an attempt's phases.", ("phase",), buckets=SECONDS)
_whole_s: Final = _attempt_s.labels("whole")
_phase_s: Final = [_attempt_s.labels(phase) for phase in Phases._fields]
_first_byte: Final = Histogram(
    f"{PREFIX}first_byte_delay_seconds",
    "From the event to the first byte sent of its first attempt.",
    ("dialect",),
    buckets=SECONDS,
)

_first_byte_s: Final = {dialect: _first_byte.labels(dialect.name.lower()) for dialect in Dialect}

plan_s: Final = Histogram(f"{PREFIX}plan_seconds", "Time of a planning transaction.", buckets=SECONDS)
claim_s: Final = Histogram(f"{PREFIX}claim_seconds", "Time of a claiming transaction.", buckets=SECONDS)
complete_s: Final = Histogram(f"{PREFIX}complete_seconds", "Time of a completing transaction.", buckets=SECONDS)
claimed: Final = Histogram(f"{PREFIX}claim_batch_size", "Deliveries taken by one claim.", buckets=ROWS)

in_flight: Final = Gauge(f"{PREFIX}in_flight", "Attempts under way.", multiprocess_mode="livesum")
in_flight_limit: Final = Gauge(
    f"{PREFIX}in_flight_limit", "Attempts that may be under way.", multiprocess_mode="livesum"
)
reclaimed: Final = Counter(f"{PREFIX}leases_reclaimed", "Deliveries whose worker never reported.")
stale: Final = Counter(f"{PREFIX}stale_completions", "Results that came after another worker had taken over.")
dropped: Final = Counter(f"{PREFIX}dropped_claims", "Claims given back unsent.")
disabled: Final = Counter(f"{PREFIX}endpoints_disabled", "Endpoints the engine disabled.", ("reason",))
notices: Final = Counter(f"{PREFIX}notices", "Notices written.", ("notice",))
replayed: Final = Counter(f"{PREFIX}replay_rows", "Deliveries that bulk operations queued.")
clock_steps: Final = Counter(f"{PREFIX}clock_steps", "Steps of the clock that were repaired.")


def events_planned(types: Iterable[str]) -> None:
    """Count events as they are planned, which each is exactly once."""
    for type_ in types:
        _recorded.labels(type_).inc()
        if type_.startswith(NOTICES):
            notices.labels(type_).inc()


def attempted(job: Job, result: Result) -> None:
    """Count an attempt, with what its log says of it."""
    dialect, told = job.endpoint.dialect, result.detail or {}
    _attempts_of(dialect, result.outcome, str(told.get("trigger", "event"))).inc()
    _whole_s.observe(result.duration_us / SECOND)
    phases = Phases(*told.get("phases_us", ()))
    for phase_s, us in zip(_phase_s, phases, strict=True):
        if us:
            phase_s.observe(us / SECOND)
    if result.outcome.startswith("blocked_") or result.outcome == "own_address":
        _blocked.labels(_rule(told)).inc()
    if job.claimed.attempts == 0 and job.claimed.origin is Origin.EVENT:
        sent_at = result.started_at + phases.dns + phases.connect + phases.tls
        _first_byte_s[dialect].observe(max(0, sent_at - job.claimed.recorded_at) / SECOND)


@lru_cache(LABELS_KEPT)  # to find a counter by its labels takes longer than to count
def _attempts_of(dialect: Dialect, outcome: str, trigger: str) -> Counter:
    return _attempts.labels(dialect.name.lower(), outcome, trigger)


def completed(results: Sequence[Result], done: Completed) -> None:
    """Count what a completion did."""
    stale.inc(len(done.fenced))
    dropped.inc(sum(result.outcome == DROPPED for result in results))
    for endpoint_id in done.disabled:
        is_gone = any(r.outcome == GONE for r in results if r.endpoint_id == endpoint_id)
        disabled.labels("gone" if is_gone else "failing").inc()


def _rule(told: Mapping[str, Any]) -> str:
    """Return the rule of the guard's table: `refused 10.0.0.0/8`."""
    return str(told.get("rule") or "url")
