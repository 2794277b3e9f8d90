"""Charges and the bank accounts they are paid into (pix-api.md §1, §16.2)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner

BRL: Final = currency("BRL")
GATEWAY: Final = "pix"
DESCRIPTION_DEFAULT: Final = "Cobranca PIX"


class State(StrEnum):
    """The states of a charge; the arrows between them are C1–C13 of pix-api.md §16.2."""

    CREATING = "creating"
    ACTIVE = "active"
    PAYING = "paying"
    COMPLETED = "completed"
    CONFLICTED = "conflicted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


LIVE: Final = frozenset({State.ACTIVE, State.PAYING})
OVER: Final = frozenset({State.REJECTED, State.EXPIRED, State.CANCELLED})  # another may take its place


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account: one bank account with its profile, credentials and mode."""

    id: int
    owner: Owner
    merchant_uuid: str
    merchant_name: str
    merchant_city: str
    profile: str
    bank_name: str
    bank_ispb: str
    sealed_credentials: str
    swept_until_at: Instant
    infractions_listed_at: Instant
    active: bool = True  # new charges and payouts go through it
    removed: bool = False  # its credentials are gone; nothing goes through it


@dataclass(frozen=True, slots=True)
class Charge:
    """The PIX form of a payment: a QR and copy-and-paste code."""

    id: str
    payment_id: int  # 0 in what `start_charge` returns if the payment is stored in the same breath; never when read
    announces: bool  # its payment becomes known together with it
    owner: Owner
    account_id: int
    state: State
    amount: Money
    key: str
    description: str
    external_id: str | None
    code: str | None
    expires_in_s: int
    expires_at: Instant
    created_at: Instant
    updated_at: Instant
