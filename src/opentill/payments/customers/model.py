"""A payer a merchant knows."""

from dataclasses import dataclass

from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.payments.model import Contact


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who is not erased; an erased customer has no contact and is not found."""

    id: int
    uuid: str
    owner: Owner
    contact: Contact
    created_at: Instant
