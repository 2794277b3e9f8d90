"""Customers on the wire of the merchant API (merchant-api.md §9.7)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Invalid
from opentill.payments.customers.model import Customer
from opentill.payments.fields import Fields
from opentill.payments.model import Contact
from opentill.payments.wire import EMAIL, EMAIL_MAX, NAME_MAX, NOT_PHONE, PHONE_MAX

HIDDEN: Final = "*****"
PHONE_SHOWN: Final = (5, 3)  # characters of a masked phone, at its start and its end


def parse_customer(fields: Mapping[str, Any]) -> Contact:
    """Read the body of POST /customers. Raises Invalid with every fault."""
    read = Fields(fields)
    if read.raw("name")[1] is None:
        read.fault("name", "NAME_REQUIRED", "The name field is required.")
    contact = read_contact(read, ("name",), ("email",), ("phone",))
    if read.faults:
        raise Invalid(read.faults)
    return contact


def read_contact(read: Fields, name: tuple[str, ...], email: tuple[str, ...], phone: tuple[str, ...]) -> Contact:
    """Read who somebody is, under the names the route has for it; a malformed e-mail address is a fault."""
    return Contact(
        read.text(*name, most=NAME_MAX) or "",
        _email(read, email) or "",
        NOT_PHONE.sub("", read.text(*phone) or "")[:PHONE_MAX].strip(),
    )


def customer_object(customer: Customer) -> dict[str, Any]:
    """Return the customer object, the same wherever it is shown."""
    who = customer.contact
    return {
        "id": customer.id,
        "uuid": customer.uuid,
        "name": who.name or None,
        "email": who.email or None,
        "phone": who.phone or None,
        "email_masked": masked_email(who.email) or None,
        "phone_masked": masked_phone(who.phone) or None,
        "created_at": iso_seconds(customer.created_at),
    }


def masked_email(email: str) -> str:
    """Write `jane@example.com` as `j***@example.com`."""
    name, at, host = email.rpartition("@")
    return f"{name[:1]}***{at}{host}" if at else ""


def masked_phone(phone: str) -> str:
    """Write `+8801712345678` as `+8801*****678`; of a short one only its last two characters are shown."""
    first, last = PHONE_SHOWN
    if not phone:
        return ""
    return f"{phone[:first]}{HIDDEN}{phone[-last:]}" if len(phone) > 2 * first else f"{HIDDEN}{phone[-2:]}"


def _email(read: Fields, names: tuple[str, ...]) -> str | None:
    email = read.text(*names)
    if email is not None and (len(email) > EMAIL_MAX or EMAIL.fullmatch(email) is None):
        read.fault(read.raw(*names)[0], "VALIDATION_FAILED", "The e-mail address is not one.")
        return None
    return email
