"""Decisions of the dispatcher: what an attempt means for its delivery and for its lane. Values in, values out."""

from opentill.webhooks.rules.failing import PATIENCE, Notice, Patience, disable_at, must_disable, notice_due
from opentill.webhooks.rules.lanes import (
    FAILURES_IN_A_ROW,
    OPEN_FIRST,
    OPEN_MAX,
    SLOW_DOWN_DEFAULT,
    TIMEOUTS_IN_A_ROW,
    WINDOW,
    WINDOW_ATTEMPTS_MIN,
    WINDOW_FAILED_PERCENT,
    Lane,
    after_attempt,
)
from opentill.webhooks.rules.outcomes import DROPPED, GONE, LOST, NOT_FOR_THE_BREAKER, OK, SLOW_DOWN
from opentill.webhooks.rules.sharing import QUANTUM, SHARES_PERCENT, Bucket, Grant, Waiting, bucket_of, share_out
from opentill.webhooks.rules.verdicts import LOSSES_FREE, Verdict, judge

__all__ = [
    "DROPPED",
    "FAILURES_IN_A_ROW",
    "GONE",
    "LOSSES_FREE",
    "LOST",
    "NOT_FOR_THE_BREAKER",
    "OK",
    "OPEN_FIRST",
    "OPEN_MAX",
    "PATIENCE",
    "QUANTUM",
    "SHARES_PERCENT",
    "SLOW_DOWN",
    "SLOW_DOWN_DEFAULT",
    "TIMEOUTS_IN_A_ROW",
    "WINDOW",
    "WINDOW_ATTEMPTS_MIN",
    "WINDOW_FAILED_PERCENT",
    "Bucket",
    "Grant",
    "Lane",
    "Notice",
    "Patience",
    "Verdict",
    "Waiting",
    "after_attempt",
    "bucket_of",
    "disable_at",
    "judge",
    "must_disable",
    "notice_due",
    "share_out",
]
