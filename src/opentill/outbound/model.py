"""What goes out and what comes back, as data."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from opentill.kernel.clock import Instant, from_datetime, unix_seconds
from opentill.outbound.allow import AllowList
from opentill.outbound.outcomes import Outcome
from opentill.outbound.refusals import Refusal
from opentill.outbound.tls import TlsFacts, TlsProfile

TIMEOUT_DEFAULT_S: Final = 10.0
READ_BYTES_DEFAULT: Final = 64 * 1024
READ_BYTES_MAX: Final = 1024 * 1024
KEPT_BYTES_DEFAULT: Final = 4 * 1024
BODY_DEFAULT_S: Final = 2.0

Headers = Sequence[tuple[str, str]]


class OutboundRequest(NamedTuple):
    """One call to make. Whoever makes it decides what may be opened for it; the guard decides the rest.

    The headers go out in this order, after `Host`; `Accept`, `Accept-Encoding: identity` and `User-Agent` are
    added where they are missing, `Content-Length` always. A caller that needs whole answers, such as a
    bank's API, raises *read_limit* and *keep_limit* (at most 1 MiB) and gives the body more time.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None
    timeout_s: float = TIMEOUT_DEFAULT_S  # look-up to last byte, wall clock
    plain_http: bool = False  # `http` URLs are refused unless the caller's rules allow them
    repeatable: bool = False  # may be sent again at once when a kept connection turns out to be dead
    allow: AllowList | None = None  # opened for this call alone, beside the operator's list
    tls: TlsProfile | None = None
    owner: Hashable = None  # whose share of look-ups it uses: the merchant's id
    read_limit: int = READ_BYTES_DEFAULT
    keep_limit: int = KEPT_BYTES_DEFAULT
    body_s: float = BODY_DEFAULT_S  # for the body, counted from the end of the head
    keep_private_answer: bool = False  # keep head and body of an answer from an allow-listed address


class Phases(NamedTuple):
    """How long each step took, in microseconds. The first three are 0 on a kept connection."""

    dns: int = 0
    connect: int = 0
    tls: int = 0
    send: int = 0
    first_byte: int = 0
    body: int = 0


NO_PHASES: Final = Phases()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who answered a connection: the address dialled and what TLS settled."""

    address: str
    is_private: bool = False  # dialled only because of the allow list
    tls: TlsFacts | None = None


class Answer(NamedTuple):
    """What became of a request. `error_text` never holds an address; `refusal` has one for the operator."""

    outcome: Outcome
    duration_us: int
    phases_us: Phases = NO_PHASES
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body_kept: bytes = b""
    body_bytes: int = 0  # read from the wire, as sent: nothing is decompressed
    cut: bool = False  # the body is not whole: too long, too slow, broken off or not kept
    peer: Peer | None = None
    reused: bool = False
    error_text: str | None = None
    retry_after: str | None = None
    refusal: Refusal | None = None

    @property
    def address(self) -> str | None:
        """Return the address that was dialled, for the operator."""
        return None if self.peer is None else self.peer.address

    @property
    def tls(self) -> TlsFacts | None:
        """Return what TLS settled, or None without it."""
        return None if self.peer is None else self.peer.tls

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def retry_after_s(self, now: Instant) -> int | None:
        """Return the seconds `Retry-After` asks for, or None if it asks for nothing that can be honoured."""
        if self.retry_after is None:
            return None
        text = self.retry_after.strip()
        if text.isascii() and text.isdigit():
            return int(text) or None
        return _seconds_until(text, now)


def blocked(refusal: Refusal) -> Answer:
    """Return the answer of the guard itself: nothing was sent."""
    return Answer(outcome=refusal.outcome, duration_us=0, error_text=refusal.for_merchant, refusal=refusal)


def _seconds_until(text: str, now: Instant) -> int | None:
    try:
        instant = from_datetime(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None  # not a date, or one without a zone
    wait_s = unix_seconds(instant) - unix_seconds(now)
    return wait_s if wait_s > 0 else None
