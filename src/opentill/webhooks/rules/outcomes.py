"""Outcomes by name, and what they say something about (webhooks.md §8.4)."""

from typing import Final

OK: Final = "ok"
GONE: Final = "gone"
LOST: Final = "lost"
DROPPED: Final = "dropped"
SLOW_DOWN: Final = "slow_down"

# Outcomes that say something about one event or about us, not about the receiver's health.
NOT_FOR_THE_BREAKER: Final = frozenset(
    (
        "http_4xx",
        "redirect",
        GONE,
        "blocked_url",
        "blocked_address",
        "own_address",
        "auth_failed",
        "secret_failed",
        LOST,
        DROPPED,
    )
)
