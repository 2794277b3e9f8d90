"""Counts and durations of requests, for Prometheus."""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests: Final = Histogram(
    "opentill_request_seconds",
    "Time from the first byte of a request to its answer.",
    ("surface", "method", "operation", "status"),
    buckets=SECONDS,
)
_certificates: Final = Gauge(
    "opentill_pix_certificate_days", "Whole days until our certificate at a bank runs out.", ("account",)
)
_refused: Final = Counter(
    "opentill_pix_notifications_refused", "Notifications that did not prove to be a bank's.", ("why",)
)
_limit_store: Final = Gauge(
    "opentill_rate_limit_store_up", "1 while the shared counters of rate limits answer, 0 while they do not."
)
_dropped: Final = Counter("opentill_request_log_dropped_total", "Lines of the request log that were never stored.")


def certificate_days(account_id: int, days: int) -> None:
    """Say how long our certificate at an account's bank is still good."""
    _certificates.labels(str(account_id)).set(days)


def notification_refused(why: str) -> None:
    """Count a notification that was refused for its token or its sender."""
    _refused.labels(why).inc()


def observe(surface: str, method: str, operation: str, status: int, seconds: float) -> None:
    """Count a request. *operation* is a path as documented, so that the number of series stays bounded."""
    _series(surface, method, operation, status).observe(seconds)


def request_log_dropped() -> None:
    """Count a line of the request log that was dropped, because the database took none for too long."""
    _dropped.inc()


def limit_store(*, up: bool) -> None:
    """Note whether the shared counters answer."""
    _limit_store.set(int(up))


@lru_cache(maxsize=1024)
def _series(surface: str, method: str, operation: str, status: int) -> Histogram:
    return _requests.labels(surface, method if method in METHODS else "other", operation, str(status))
