"""The paying-out half of a bank: sending money, looking keys up, and contested receipts (pix-rail.md §5, §8, §9).

One driver per bank, as the Central Bank's document covers receiving only. Amounts are integer centavos. Every write
has an id that was stored before the call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from opentill.kernel.clock import Instant
from opentill.pix.keys import KeyType
from opentill.pix.port.receiving import Hint, Page, RawRequest


@dataclass(frozen=True, slots=True)
class ToKey:
    """Pay the owner of a key, which is in canonical form."""

    key: str
    type: KeyType


@dataclass(frozen=True, slots=True)
class ToCode:
    """Pay a copy-and-paste code. *key* is what was read from it or from the payload behind it."""

    code: str
    key: str | None


@dataclass(frozen=True, slots=True)
class ToAccount:
    """Pay a bank account. The ISPB and a CNPJ may hold letters; numbers keep their zeros."""

    name: str
    document: str
    ispb: str
    branch: str | None
    number: str
    account_type: str  # checking, savings, payment, salary


Target = ToKey | ToCode | ToAccount


@dataclass(frozen=True, slots=True)
class PayoutRequest:
    """Money to be sent under our own reference, with our own end-to-end id where the driver takes one."""

    ref: str
    amount_centavos: int
    target: Target
    text: str | None = None
    e2e_id: str | None = None
    reference: str | None = None  # the merchant's own id, as with charges


class PayoutState(StrEnum):
    """What a provider's payout is to us. `held` waits for a person there, `unknown` changes nothing."""

    PROCESSING = "processing"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who got the money, as far as the provider says. The document may be masked."""

    name: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutReturn:
    """Money of a payout that the recipient's bank sent back. Counts once per *return_id* (`D…`)."""

    return_id: str
    amount_centavos: int
    reason: str | None
    returned_at: Instant


@dataclass(frozen=True, slots=True)
class ProviderPayout:
    """A payout as the provider holds it. `provider_status` is its own word for the state.

    A failed one says why: *code* is the canonical reason of pix-rail.md §10, *rail_code* the rail's own (`AC03`),
    *detail* the provider's sentence.
    """

    ref: str
    provider_ref: str | None
    e2e_id: str | None
    state: PayoutState
    provider_status: str
    amount_centavos: int
    code: str | None = None
    rail_code: str | None = None
    detail: str | None = None
    recipient: Recipient = Recipient()
    settled_at: Instant | None = None
    returns: tuple[PayoutReturn, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Who a key belongs to. Use *e2e_id* for the payment that follows, where the driver gives one."""

    key: str
    name: str | None
    document: str | None
    ispb: str | None
    e2e_id: str | None = None


@dataclass(frozen=True, slots=True)
class DecodedCode:
    """What a code asks for, after its signed payload was fetched and verified (pix-rail.md §2.7).

    *amount_centavos* is None where the payer chooses; *changeable* says the payer may pay another amount.
    *payable* is false once it was paid, removed or has expired.
    """

    key: str
    amount_centavos: int | None
    changeable: bool
    payable: bool
    txid: str | None = None
    recipient: Recipient = Recipient()
    expires_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class ProviderBalance:
    """What the bank says is on the account."""

    available_centavos: int
    blocked_centavos: int = 0


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on the account as the bank lists it: credits positive, debits negative."""

    line_id: str
    at: Instant
    amount_centavos: int
    e2e_id: str | None
    ref: str | None
    text: str | None


class InfractionState(StrEnum):
    """Where a contest of a receipt stands (pix-rail.md §9). `unknown` changes nothing and alerts."""

    OPEN = "open"
    DEFENDED = "defended"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProviderInfraction:
    """A contest of a receipt as the provider reports it.

    *ref* is the provider's name of it, *e2e_id* the contested receipt. *reason* is `FRAUD`, `OPERATIONAL_FLAW` or the
    provider's word. Money that went back because of it is among the returns of the receipt.
    """

    ref: str
    e2e_id: str
    state: InfractionState
    provider_status: str
    kind: str  # REFUND_REQUEST or REFUND_CANCELLED
    amount_centavos: int
    reason: str | None
    opened_at: Instant
    defense_deadline_at: Instant | None = None
    counterpart_ispb: str | None = None
    resolved_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece of a merchant's defence; it has a `url` or a `description`."""

    type: str | None = None
    url: str | None = None
    description: str | None = None
    source: str | None = None
    filename: str | None = None
    received_at: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutCapabilities:
    """What a driver and its bank can do.

    With *query_proves_absence*, a query that finds nothing proves, *absence_after_s* after the submit, that the bank
    never got the payout.
    """

    by_key: bool = False
    by_code: bool = False
    by_account: bool = False
    own_e2e: bool = False
    lookup: bool = False
    decode: bool = False
    balance: bool = False
    statement: bool = False
    infractions: bool = False
    defenses: bool = False
    query_proves_absence: bool = False
    absence_after_s: int = 60


class PixPayout(Protocol):
    """One bank account, seen by the part of OpenTill that pays out."""

    @property
    def capabilities(self) -> PayoutCapabilities: ...

    async def submit(self, request: PayoutRequest) -> ProviderPayout:
        """Send money. One that exists under the same reference already is the answer if it agrees, else `Ambiguous`."""
        ...

    async def query(self, ref: str, e2e_id: str | None) -> ProviderPayout | None:
        """Read a payout with its returns; None where the provider has none under *ref* (see `query_proves_absence`)."""
        ...

    async def lookup_key(self, key: str) -> KeyOwner | None:
        """Return who owns a key; None where nobody does. Costs quota: never while somebody types."""
        ...

    async def decode_code(self, code: str, on: date) -> DecodedCode:
        """Return what a code asks for on a day of payment. Raises `Refused` for one that cannot be paid any more."""
        ...

    async def balance(self) -> ProviderBalance:
        """Return what is on the account."""
        ...

    async def statement(self, day: date, cursor: str | None = None) -> Page[StatementLine]:
        """Return a page of a day's movements (America/Sao_Paulo), oldest first."""
        ...

    async def list_infractions(
        self, start: Instant, end: Instant, cursor: str | None = None
    ) -> Page[ProviderInfraction]:
        """Return a page of the contests that were opened or changed from *start* to *end*, both included."""
        ...

    async def get_infraction(self, ref: str) -> ProviderInfraction | None:
        """Read one contest; None when the provider does not know it."""
        ...

    async def send_defense(self, ref: str, text: str, evidence: Sequence[Evidence]) -> None:
        """Hand in a merchant's defence. The same one again changes nothing."""
        ...

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        """Return what a notification asks us to read. Raises `UnreadableNotification`."""
        ...
