"""A payment link: what the merchant set, and how often it was used."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Currency, Money
from opentill.kernel.owner import Owner
from opentill.payments.model import LinkName

FIELDS_MAX: Final = 20  # further questions to the payer


class Kind(StrEnum):
    """How a question is answered."""

    TEXT = "text"
    NUMBER = "number"
    EMAIL = "email"
    SELECT = "select"
    TEXTAREA = "textarea"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing more the payer is asked; the answer is kept under its key."""

    key: str
    label: str
    kind: Kind
    options: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What the merchant set, checked and ready to store."""

    title: str
    currency: Currency
    amount: Money | None  # None: the payer says how much
    least: Money | None = None
    most: Money | None = None
    slug: str | None = None  # None: one is made
    description: str | None = None
    redirect_url: str | None = None
    callback_url: str | None = None
    callback_bare: bool = False
    gateway: str | None = None
    require_address: bool = False
    questions: tuple[Question, ...] = ()
    metadata: str = "{}"
    max_uses: int | None = None
    expires_at: Instant | None = None
    active: bool = True


class LinkStatus(StrEnum):
    """Where a link stands. Expired is never stored: the clock and the uses say it."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is stored."""

    id: int
    uuid: str
    slug: str
    owner: Owner
    terms: Terms
    use_count: int  # payments that completed
    open_count: int  # payments under way; each has a place until it ends
    created_at: Instant
    updated_at: Instant

    @property
    def name(self) -> LinkName:
        return LinkName(self.id, self.uuid, self.slug, self.terms.title)
