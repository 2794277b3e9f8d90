"""The receiving half of a bank: issuing charges, reading what arrived, and giving it back (pix-rail.md §5).

Amounts are integer centavos. Every write has an id that was stored before the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from opentill.kernel.clock import Instant
from opentill.pix.due import Terms

T = TypeVar("T")


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
    RETURN = "return"  # of a receipt: read the receipt with its returns
    PAYOUT = "payout"
    INFRACTION = "infraction"


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
    reference: str | None = None  # the merchant's own id; only the sandbox bank is told, to match faults with


@dataclass(frozen=True, slots=True)
class DueChargeRequest:
    """A charge with a due date, under our own txid. The payer must be known; *address* is street, city, state and
    postal code, or nothing.
    """

    txid: str
    key: str
    terms: Terms
    payer: Payer
    address: tuple[str, str, str, str] | None = None
    message: str | None = None
    info: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiptPayer:
    """Who paid, as far as the provider says."""

    name: str | None = None
    document: str | None = None
    ispb: str | None = None
    bank: str | None = None


class ReturnState(StrEnum):
    """What a provider's return is to us (pix-rail.md §6.5). `unknown` changes nothing and alerts."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Nature(StrEnum):
    """Why money of a receipt goes back."""

    ORDINARY = "ordinary"
    CASH = "cash"
    MED_OPERATIONAL = "med_operational"
    MED_FRAUD = "med_fraud"
    MED_AUTOMATIC = "med_automatic"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProviderReturn:
    """Money of a receipt going back, as the provider reports it.

    *ref* is the id it was asked for under: our refund's, or a name nobody here knows. *return_id* is the rail's
    (`D…`), None until there is one. *reason* is what the provider says of a failure; *rail_code* the code in it,
    *code* its canonical reason of pix-rail.md §10.
    """

    ref: str
    return_id: str | None
    amount_centavos: int
    state: ReturnState
    nature: Nature
    text: str | None = None
    reason: str | None = None
    rail_code: str | None = None
    code: str | None = None
    requested_at: Instant | None = None
    settled_at: Instant | None = None


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
    returns: tuple[ProviderReturn, ...] = ()


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
    returns: bool = False
    due_date: bool = False


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came in. Header names are lower case.

    *address* is the caller's; *certificate* is what the caller presented to our TLS proxy, PEM or DER.
    """

    body: bytes
    headers: Mapping[str, str]
    address: str | None = None
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to read at the provider. Nothing is booked on a hint's word."""

    kind: HintKind
    txid: str | None
    e2e_id: str | None
    name: str | None = None  # our id of a payout, the provider's of an infraction

    @property
    def ref(self) -> str:
        """Return the name to read by: an end-to-end id, the txid of a charge, the id of a payout or infraction."""
        match self.kind:
            case HintKind.CHARGE:
                return self.txid or ""
            case HintKind.RECEIPT | HintKind.RETURN:
                return self.e2e_id or ""
            case HintKind.PAYOUT | HintKind.INFRACTION:
                return self.name or ""


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


class PixReturns(Protocol):
    """Giving back what arrived. The adapter that receives for an account also returns for it."""

    async def request_return(self, e2e_id: str, ref: str, amount_centavos: int, text: str) -> ProviderReturn:
        """Return a part or all of a receipt, as an ordinary return. *ref* is our refund's id.

        One that exists under *ref* already and agrees is the answer; one that differs is `Ambiguous`.
        """
        ...

    async def get_return(self, e2e_id: str, ref: str) -> ProviderReturn | None:
        """Read a return; None proves that the provider never got it."""
        ...


class PixDueCharges(Protocol):
    """Charges with a due date, at a bank that offers them. What is due on a day the bank alone decides."""

    async def create_due_charge(self, request: DueChargeRequest) -> ProviderCharge:
        """Make a charge. An answer that differs from the request is removed there and `Refused`."""
        ...

    async def get_due_charge(self, txid: str) -> ProviderCharge | None:
        """Read a charge; None when the provider does not know it. Its amount is the original one."""
        ...

    async def cancel_due_charge(self, txid: str) -> ProviderCharge:
        """Remove a charge and return it as it then is: `paid` when a payment came first."""
        ...


class PixReceiver(PixReturns, Protocol):
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
        """Return what a notification asks us to read.

        Raises `UntrustedNotification` where it does not prove that it is the bank's, else `UnreadableNotification`.
        """
        ...
