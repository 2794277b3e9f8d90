"""What PIX needs from a bank: issuing charges and reading what arrived (pix-rail.md §5).

Amounts are integer centavos. Every write has an id that was stored before the call. What becomes of a call
is a value or one of four exceptions:

    CallFailed
    ├── NotSent      certain: nothing was changed; may be asked again under the same id. Reads that fail end here too
    ├── Ambiguous    a write that may have been carried out; only a read may follow
    ├── Refused      certain: the provider said no
    └── Denied       credentials or contract; nothing was carried out; an operator must look
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

from opentill.kernel.clock import Instant

T = TypeVar("T")


class CallFailed(Exception):  # noqa: N818 - an outcome of a call
    """A call came to nothing, or nobody knows. *outcome* is its word in the call log."""

    outcome: ClassVar[str]


class NotSent(CallFailed):
    """Nothing was changed at the provider. The same call may be made again, not before `retry_after_s`."""

    outcome = "not_sent"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Ambiguous(CallFailed):
    """A write may have been carried out. Only a read may follow."""

    outcome = "ambiguous"


class Refused(CallFailed):
    """The provider refused, and nothing was changed. *code* is a canonical reason of pix-rail.md §10."""

    outcome = "refused"

    def __init__(self, code: str, detail: str, violations: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.violations = tuple(violations)


class Denied(CallFailed):
    """The provider does not accept our credentials, or the contract lacks this product."""

    outcome = "denied"


class UnreadableNotification(ValueError):  # noqa: N818 - it says what the body is
    """A notification whose body is not what banks send. It is kept and shown to an operator."""


class ChargeState(StrEnum):
    """What a provider's charge is to us (pix-rail.md §6.5). `unknown` changes nothing and alerts."""

    ACTIVE = "active"
    EXPIRED = "expired"
    PAID = "paid"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class HintKind(StrEnum):
    """What a hint says should be read."""

    CHARGE = "charge"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who is asked to pay. The document is a bare CPF or CNPJ."""

    document: str
    name: str


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to be made under our own txid."""

    txid: str
    amount_centavos: int
    key: str
    expires_in_s: int
    message: str | None = None
    payer: Payer | None = None
    info: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiptPayer:
    """Who paid, as far as the provider says."""

    name: str | None = None
    document: str | None = None
    ispb: str | None = None
    bank: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderReceipt:
    """Money that arrived, as the provider reports it. Its end-to-end id is case-sensitive."""

    e2e_id: str
    txid: str | None
    amount_centavos: int
    key: str | None
    settled_at: Instant
    payer: ReceiptPayer
    message: str | None


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """A charge as the provider holds it. `provider_status` is its own word for the state.

    Without a `code`, one is built around the `location` (`brcode.build_dynamic`).
    """

    txid: str
    state: ChargeState
    provider_status: str
    revision: int
    amount_centavos: int
    key: str
    created_at: Instant
    expires_at: Instant
    location: str | None
    code: str | None
    receipts: tuple[ProviderReceipt, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of the next ones, None at the end.

    *unreadable* counts items in a form nobody documented: an operator must look, the others go on.
    """

    items: tuple[T, ...]
    cursor: str | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class ReceiverCapabilities:
    """What this account can do: what the profile offers less what the bank did not grant."""

    dynamic: bool
    list_receipts: bool
    webhook: bool


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came in. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to read at the provider. Nothing is booked on a hint's word."""

    kind: HintKind
    txid: str | None
    e2e_id: str | None

    @property
    def ref(self) -> str:
        """Return the name to read by: the end-to-end id of a receipt, the txid of a charge."""
        return (self.e2e_id if self.kind is HintKind.RECEIPT else self.txid) or ""


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """What one call to a provider came to, for the call log. Bodies hold no secrets."""

    operation: str
    our_id: str
    started_at: Instant
    duration_us: int
    outcome: str
    status: int | None
    correlation_id: str | None
    request_body: bytes
    answer_body: bytes


class PixReceiver(Protocol):
    """One bank account, seen by the part of OpenTill that receives."""

    @property
    def capabilities(self) -> ReceiverCapabilities: ...

    async def create_charge(self, request: ChargeRequest) -> ProviderCharge:
        """Make a charge. An answer that differs from the request is removed there and `Refused`."""
        ...

    async def get_charge(self, txid: str) -> ProviderCharge | None:
        """Read a charge; None when the provider does not know it."""
        ...

    async def cancel_charge(self, txid: str) -> ProviderCharge:
        """Remove a charge and return it as it then is: `paid` when a payment came first."""
        ...

    async def get_receipt(self, e2e_id: str) -> ProviderReceipt | None:
        """Read a receipt; None when the provider does not know it (yet)."""
        ...

    async def list_receipts(
        self, start: Instant, end: Instant, cursor: str | None = None, txid_present: bool | None = None
    ) -> Page[ProviderReceipt]:
        """Return a page of what arrived from *start* to *end*, both included, oldest first."""
        ...

    async def ensure_webhook(self, key: str, url: str) -> None:
        """Have payments to *key* announced at *url*. Writes only where something else is registered."""
        ...

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        """Return what a notification asks us to read. Raises `UnreadableNotification`."""
        ...
