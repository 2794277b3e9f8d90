"""What the payer's page knows of a payment, and where in the story it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from opentill.merchants.brands import Brand
from opentill.merchants.gateways import ActiveGateway, ManualGateway
from opentill.merchants.model import Merchant
from opentill.payments.invoices.model import Invoice
from opentill.payments.model import Conversion, Payment, Session
from opentill.pix.model import Charge


class Stage(StrEnum):
    """Each has a template of its name in `templates/stages/`."""

    CHOOSE = "choose"  # which way to pay
    FORM = "form"  # the gateway's own form
    PREPARING = "preparing"  # the bank makes the PIX code
    CODE = "code"  # the PIX code, to scan or to copy
    CONFIRMING = "confirming"  # submitted; nobody knows yet
    MANUAL = "manual"  # what to do by hand, and a form to say that it was done
    CHECKING = "checking"  # the payer said so; a person looks for the money
    REVIEW = "review"  # money arrived, a person looks at it
    CANCELLING = "cancelling"  # asks whether to cancel
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    CLOSED = "closed"  # the merchant takes no payments


@dataclass(frozen=True, slots=True)
class Situation:
    """A payment with everything that decides what its payer sees, read in one transaction."""

    payment: Payment
    merchant: Merchant
    offered: Sequence[ActiveGateway]  # what the merchant has switched on, in the merchant's order
    charges: Mapping[str, Conversion | None]  # of those that take the amount: what it is converted to
    manual: ManualGateway | None  # the one of the open try
    session: Session | None  # the newest, open or ended
    charge: Charge | None  # the payment's PIX charge
    brand: Brand
    invoice: Invoice | None  # what the payment is for
    question: str | None = None  # what the person who looks at the payment asks its payer
