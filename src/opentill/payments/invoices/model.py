"""An invoice, its lines, and where it stands."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from opentill.kernel.clock import Instant
from opentill.kernel.money import Currency, Money, from_minor, half_up
from opentill.kernel.owner import Owner
from opentill.payments.model import Contact, InvoiceName, InvoiceStatus

ITEMS_MAX: Final = 200
HUNDREDTHS: Final = 100  # a quantity is counted in hundredths


@dataclass(frozen=True, slots=True)
class Item:
    """One line: so many, to the hundredth, at so much each."""

    description: str
    hundredths: int
    price: Money

    @property
    def total(self) -> Money:
        """Return quantity × price, rounded half up to a whole minor unit."""
        return from_minor(half_up(self.hundredths * self.price.minor, HUNDREDTHS), self.price.currency)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the merchant set, checked and ready to store."""

    currency: Currency
    items: tuple[Item, ...]
    tax: Money
    discount: Money
    number: str | None = None  # None: the next one
    notes: str | None = None
    due_on: date | None = None
    redirect_url: str | None = None
    callback_url: str | None = None
    callback_bare: bool = False
    metadata: str = "{}"

    @property
    def subtotal(self) -> Money:
        return sum((item.total for item in self.items), Money(0, self.currency))

    @property
    def total(self) -> Money:
        return self.subtotal + self.tax - self.discount


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it is stored."""

    id: int
    uuid: str
    token: str
    number: str
    owner: Owner
    merchant_uuid: str
    stored_status: InvoiceStatus
    terms: Terms
    due_until_at: Instant | None  # the end of its day where the merchant is
    paid: Money  # what payments of it brought
    customer_uuid: str | None
    contact: Contact
    payment_uuid: str | None  # the payment that paid it
    paid_at: Instant | None
    created_at: Instant
    updated_at: Instant

    @property
    def name(self) -> InvoiceName:
        return InvoiceName(
            self.id, self.uuid, self.token, self.number, self.terms.total, self.stored_status, self.due_until_at
        )

    def status(self, now: Instant) -> InvoiceStatus:
        return self.name.status(now)

    @property
    def payable(self) -> bool:
        """Tell whether it may be paid: it was sent, be its day over or not, and is neither paid nor cancelled."""
        return self.stored_status is InvoiceStatus.SENT
