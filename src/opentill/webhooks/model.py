"""The words of the webhook engine in code (webhooks.md §1, §2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from opentill.events import Audience
from opentill.kernel.clock import Instant, after
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret

MAX_IN_FLIGHT_DEFAULT: Final = 4
TIMEOUT_DEFAULT_S: Final = 10
TIMEOUT_MAX_S: Final = 30
LEASE_S: Final = 60
HEARTBEAT_S: Final = 15
RATE_MIN: Final = 0.1  # attempts a second
RATE_MAX: Final = 1_000.0
BURST_MAX: Final = 1_000


class Dialect(IntEnum):
    """How an event is written and signed."""

    MERCHANT = 0
    PIX = 1
    STANDARD = 2


class Kind(IntEnum):
    """Where an endpoint comes from."""

    REGISTERED = 0
    CALLBACK = 1
    OPERATIONAL = 2


class EndpointState(IntEnum):
    ACTIVE = 0
    PAUSED = 1
    DISABLED = 2
    DELETED = 3
    ACTIVATING = 4


IN_SERVICE: Final = (EndpointState.ACTIVE, EndpointState.ACTIVATING)


class DeliveryState(IntEnum):
    DUE = 0
    SENDING = 1
    DELIVERED = 2
    DEAD = 3
    HELD = 4
    CANCELLED = 5


class Origin(IntEnum):
    """Why a delivery exists."""

    EVENT = 0
    REDELIVERY = 1
    REPLAY = 2
    TEST = 3


class Klass(IntEnum):
    """The class a delivery waits in; each has a share of its lane (webhooks.md §5.3)."""

    FIRST_TRY = 0
    RETRY = 1
    BULK = 2


class Ordering(IntEnum):
    NONE = 0
    FIRST_TRY = 1
    STRICT = 2


class Breaker(IntEnum):
    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2
    RAMP = 3


class SignatureFormat(IntEnum):
    """The form of `X-OwnPay-Signature`; stored as `target_format` of callback deliveries."""

    PREFIXED = 0
    BARE = 1


class AmountFormat(StrEnum):
    STRING = "string"
    NUMBER = "number"


class PayloadStyle(StrEnum):
    """How much a body of the standard dialect says: everything, or only type and ids."""

    FULL = "full"
    THIN = "thin"


class Recover(StrEnum):
    """What becomes of the deliveries an endpoint missed when it goes back into service."""

    NONE = "none"
    ALL = "all"
    SINCE = "since"


class Payments(StrEnum):
    """Which payments an endpoint of the merchant dialect hears of."""

    ALL = "all"
    OWN = "own"


PLANNABLE: Final = (
    EndpointState.ACTIVE,
    EndpointState.ACTIVATING,
    EndpointState.PAUSED,
    EndpointState.DISABLED,
)


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and from where, for the audit log."""

    actor: str
    origin: str


OWNER: Final = By("merchant", "api")
AT_ONCE: Final = Instant(0)  # due before whatever waits: a first try, and what somebody asked for; retries have a time


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows those who look after endpoints (webhooks.md §15)."""

    endpoints_max: int = 20  # registered ones of one merchant and mode
    pix_endpoints_max: int = 5  # of these on the PIX API
    pix_extra_events: bool = False  # endpoints of the PIX API may name the extra events
    replay_rate: int = 50  # deliveries a second of a job that sends again
    portal_link_max_days: int = 30


BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Condition:
    """One more thing an event must meet to be sent: *op* is eq, ne, in, gte, lte, prefix or exists."""

    field: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class Options:
    """What the owner chose for an endpoint (webhooks.md §4.2); stored as JSON, absent means the default."""

    events: tuple[str, ...] | None = None
    excepted: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    payments: Payments = Payments.ALL
    amount_format: AmountFormat = AmountFormat.STRING
    signature_format: SignatureFormat = SignatureFormat.PREFIXED
    payload_style: PayloadStyle = PayloadStyle.FULL
    payload_version: str | None = None  # of the standard dialect; None until the endpoint is stored with the newest
    standard_headers: bool = True
    asymmetric: bool = True
    ordering: Ordering | None = None
    schedule: tuple[int, ...] | None = None
    timeout_s: int | None = None  # None: what the operator chose for all
    max_in_flight: int = MAX_IN_FLIGHT_DEFAULT
    rate_per_s: float | None = None
    burst: int | None = None
    allow_insecure: bool = False
    ca_bundle: str | None = None
    notify: tuple[str, ...] = ()
    description: str | None = None

    def to_json(self) -> str:
        """Render what differs from the defaults."""
        chosen = {
            name: getattr(self, name)
            for name in Options.__dataclass_fields__
            if getattr(self, name) != getattr(DEFAULTS, name)
        }
        if self.conditions:
            chosen["conditions"] = [[one.field, one.op, one.value] for one in self.conditions]
        return json.dumps(chosen, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Options":
        """Read what `to_json` wrote. Unknown keys of a newer version are left alone."""
        stored = json.loads(text)
        known: dict[str, Any] = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        for name in ("events", "excepted", "schedule", "notify"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        known["conditions"] = tuple(Condition(*one) for one in known.get("conditions", ()))
        for name, kind in (
            ("payments", Payments),
            ("amount_format", AmountFormat),
            ("signature_format", SignatureFormat),
            ("payload_style", PayloadStyle),
            ("ordering", Ordering),
        ):
            if known.get(name) is not None:
                known[name] = kind(known[name])
        return cls(**known)


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One destination of one merchant in one mode."""

    id: int
    public_id: str
    owner: Owner
    kind: Kind
    dialect: Dialect
    url: str
    state: EndpointState
    state_reason: str | None
    state_since: Instant
    options: Options
    version: int
    created_at: Instant
    sealed: str | None = None  # what its owner entrusted to us for the receiver
    is_pulled: bool = False  # its owner reads a feed; nothing is sent

    @property
    def ordering(self) -> Ordering:
        """Return the rule that holds: the owner's, or the dialect's default."""
        if self.options.ordering is not None:
            return self.options.ordering
        return Ordering.FIRST_TRY if self.dialect is Dialect.MERCHANT else Ordering.NONE

    @property
    def audience(self) -> Audience:
        """Return whom the events are for that it hears of."""
        return Audience.OPERATIONAL if self.kind is Kind.OPERATIONAL else Audience.BUSINESS


class RecordedEvent(NamedTuple):
    """An event as planner and renderers see it: the row of `event` with its document opened."""

    seq: int
    id: str
    owner: Owner
    audience: Audience
    type: str
    merchant_type: str | None
    pix_type: str | None
    object_type: str
    object_id: str
    occurred_at: Instant
    document: Mapping[str, Any] = MappingProxyType({})
    callback_url: str | None = None
    callback_format: SignatureFormat = SignatureFormat.PREFIXED

    def name_in(self, dialect: Dialect) -> str | None:
        """Return the event's name in a dialect; None if that dialect does not have it."""
        match dialect:
            case Dialect.MERCHANT:
                return self.merchant_type
            case Dialect.PIX:
                return self.pix_type
            case Dialect.STANDARD:
                return self.type

    @property
    def object_key(self) -> str:
        """Return what ordering holds per."""
        return f"{self.object_type}:{self.object_id}"


class SigningSecrets(NamedTuple):
    """What signs now: the current secret, the previous one inside a rotation's overlap, and Ed25519 seeds (base64)."""

    current: Secret
    previous: Secret | None = None
    seeds: tuple[Secret, ...] = ()
    kid: str | None = None  # of the first seed


class SigningKey(NamedTuple):
    """An Ed25519 key of one merchant and mode; published from the start, signing from *signs_from* on."""

    kid: str
    owner: Owner
    sealed: str
    public_key: str
    created_at: Instant
    signs_from: Instant
    retires_at: Instant | None


# One attempt: what it needs, and what became of it. Plain tuples, because some of each are made for every attempt.


class SealedSecret(NamedTuple):
    """A stored secret. *context* opens it."""

    endpoint_id: int
    sealed: str
    context: str


class Claimed(NamedTuple):
    """A delivery granted to a worker, with everything needed to send it but endpoint and secrets."""

    id: int
    public_id: str
    endpoint_id: int
    owner: Owner
    event_seq: int
    event_id: str
    wire_type: str
    variant: str
    body: bytes | None  # None: no longer stored, to be rendered again
    target_url: str | None
    target_format: SignatureFormat | None
    origin: Origin
    klass: Klass
    attempts: int
    attempts_max: int | None
    claim_gen: int
    lost: int
    schedule_from: int = 0  # attempts before the schedule in force
    recorded_at: Instant = Instant(0)  # when the event happened
    due_at: Instant = AT_ONCE


class Job(NamedTuple):
    """A claimed delivery with all that one attempt needs. Secrets are still sealed."""

    claimed: Claimed
    endpoint: Endpoint
    signer: Endpoint | None  # whose signature options hold; None: a callback signed with the default secret
    secrets: tuple[SealedSecret, ...]  # the current one first
    outbound_allow: tuple[str, ...]
    body: bytes
    keys: tuple[SigningKey, ...] = ()  # for v1a, the newest first


class Result(NamedTuple):
    """What became of one attempt. *detail* is JSON (webhooks.md §9.1), *body* the kept part of the answer."""

    delivery_id: int
    endpoint_id: int
    claim_gen: int
    attempts: int  # finished before this one
    attempts_max: int | None
    lost: int
    outcome: str
    started_at: Instant
    duration_us: int
    status: int | None = None
    retry_after: Instant | None = None
    detail: Mapping[str, Any] | None = None
    body: bytes | None = None
    schedule_from: int = 0

    @property
    def ended_at(self) -> Instant:
        return after(self.started_at, self.duration_us)

    @property
    def number(self) -> int:
        return self.attempts + 1

    @property
    def finished(self) -> int:
        """Return the attempts of the schedule in force, this one included."""
        return self.attempts + 1 - self.schedule_from

    @property
    def claim(self) -> tuple[int, int]:
        """Return what the result is fenced by: the delivery and the generation of its claim."""
        return self.delivery_id, self.claim_gen
