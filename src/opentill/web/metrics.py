"""Counts and durations of requests, for Prometheus."""

from functools import lru_cache
from typing import Final

from prometheus_client import Histogram

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests: Final = Histogram(
    "opentill_request_seconds",
    "Time from the first byte of a request to its answer.",
    ("surface", "method", "operation", "status"),
    buckets=SECONDS,
)


def observe(surface: str, method: str, operation: str, status: int, seconds: float) -> None:
    """Count a request. *operation* is a path as documented, so that the number of series stays bounded."""
    _series(surface, method, operation, status).observe(seconds)


@lru_cache(maxsize=1024)
def _series(surface: str, method: str, operation: str, status: int) -> Histogram:
    return _requests.labels(surface, method if method in METHODS else "other", operation, str(status))
