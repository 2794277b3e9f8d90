"""Letters: what is to be told to whom, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from opentill.kernel.clock import Instant
from opentill.kernel.secret import Secret


class Kind(StrEnum):
    """What a letter tells; each has a template of its name."""

    TEST = "test"
    ENDPOINT_FAILING = "endpoint-failing"
    ENDPOINT_DISABLED = "endpoint-disabled"
    ENDPOINT_RECOVERED = "endpoint-recovered"
    DELIVERY_DEAD = "delivery-dead"
    HELD_ENDING = "held-ending"
    INVOICE = "invoice"
    PAYER_ASKED = "payer-asked"
    REVIEW_ITEMS = "review-items"
    REVIEW_WAITING = "review-waiting"
    KEY_ENDING = "key-ending"
    CREDENTIAL_ENDING = "credential-ending"
    PASSWORD_RESET = "password-reset"  # noqa: S105 - a name
    FACTOR_RESET = "factor-reset"


class MailState(IntEnum):
    """Where a letter stands. The first two are under way; the others are ends (docs/mail.md)."""

    QUEUED = 0
    SENDING = 1
    SENT = 2
    FAILED = 3
    UNKNOWN = 4  # the server may have taken it, more than once; nobody knows
    UNSENT = 5  # there is no mail server


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter to one address. *once* names what it tells: to one address that is told once."""

    kind: Kind
    to: str
    once: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    merchant_id: int | None = None
    language: str | None = None  # None: the installation's
    due_at: Instant | None = None  # None: at once
    until_at: Instant | None = None  # None: as long as letters usually wait
    told: int = 0  # how often what it tells happened, where that is counted: more adds up while the letter waits


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter in the hands of a sender, opened."""

    id: int
    public_id: str
    kind: Kind
    to: str
    language: str | None
    facts: Mapping[str, Any]
    told: int
    attempts: int  # this one included
    created_at: Instant


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes our letters, as the settings name it."""

    host: str
    port: int
    security: str  # tls, starttls or none
    user: str
    password: Secret
    sender: str  # our address, perhaps with a name
    own_name: str  # by which we greet


# What became of one try.


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the letter."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take the letter."""

    error: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The server did not take the letter now. *is_away*: it takes no others either."""

    error: str
    is_away: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The letter was given, and then nothing was heard."""

    error: str


Outcome = Sent | Refused | Deferred | Doubtful
