"""What can become of a request, in one word each (webhooks.md §8.4)."""

from enum import Enum, StrEnum
from typing import Final


class OutcomeClass(Enum):
    """What an outcome says about the other side."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"


class Outcome(StrEnum):
    """What became of a request."""

    OK = "ok"
    HTTP_4XX = "http_4xx"
    SLOW_DOWN = "slow_down"
    HTTP_5XX = "http_5xx"
    REDIRECT = "redirect"
    GONE = "gone"
    TIMEOUT_DNS = "timeout_dns"
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_TLS = "timeout_tls"
    TIMEOUT_ANSWER = "timeout_answer"
    DNS_FAILED = "dns_failed"
    REFUSED = "refused"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    TLS_CERTIFICATE = "tls_certificate"
    PROTOCOL = "protocol"
    BLOCKED_URL = "blocked_url"
    BLOCKED_ADDRESS = "blocked_address"
    OWN_ADDRESS = "own_address"

    @property
    def kind(self) -> OutcomeClass:
        """Return the class of this outcome."""
        return _CLASSES[self]


_MEMBERS: Final = {
    OutcomeClass.DELIVERED: "ok",
    OutcomeClass.REJECTED: "http_4xx slow_down http_5xx redirect gone",
    OutcomeClass.TIMED_OUT: "timeout_dns timeout_connect timeout_tls timeout_answer",
    OutcomeClass.UNREACHABLE: "dns_failed refused reset unreachable tls_failed tls_certificate protocol",
    OutcomeClass.BLOCKED: "blocked_url blocked_address own_address",
}
_CLASSES: Final = {Outcome(name): kind for kind, names in _MEMBERS.items() for name in names.split()}


def outcome_of(status: int) -> Outcome:
    """Return what a final status line means."""
    if 200 <= status <= 299:
        return Outcome.OK
    if status == 410:
        return Outcome.GONE
    if status in (408, 429, 503):
        return Outcome.SLOW_DOWN
    if 300 <= status <= 399:
        return Outcome.REDIRECT
    if 400 <= status <= 499:
        return Outcome.HTTP_4XX
    if 500 <= status <= 599:
        return Outcome.HTTP_5XX
    # 101 leaves HTTP, and from 600 on nothing is defined.
    return Outcome.PROTOCOL
