"""What the OpenAPI document says of customers."""

from typing import Final

from opentill.api.merchant.documents import (
    OR_KEY_TAKEN,
    SPAN,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    WORD,
    WRONG,
    listing,
    ok,
    query,
    reads,
    writes,
)
from opentill.web.openapi import body, exactly, some

CUSTOMER: Final = exactly(
    id={"type": "integer"},
    uuid=UUID,
    name=TEXT_OR_NULL,
    email=TEXT_OR_NULL,
    phone=TEXT_OR_NULL,
    email_masked=TEXT_OR_NULL,
    phone_masked=TEXT_OR_NULL,
    created_at=TIME,
)

CREATE: Final = writes(
    "createCustomer",
    "Create a customer",
    ok("Customer", "The customer was created.", "201"),
    asked=body(
        some(("name",), name={**WORD, "description": "At most 150 characters."}, email=WORD, phone=WORD),
        {"name": "Jane Smith", "email": "jane@example.com", "phone": "+8801712345678"},
    ),
    bad={"409": f"The e-mail address is taken, {OR_KEY_TAKEN}", "422": WRONG},
)
LIST: Final = listing(
    "listCustomers",
    "List customers, newest first",
    "Customer",
    [
        query("email", TEXT, "An e-mail address, in any case."),
        query("phone", TEXT, "A phone; only its digits and a leading + count."),
        *SPAN,
    ],
    them="customers",
)
SHOW: Final = reads(
    "showCustomer",
    "Show a customer by UUID, e-mail address or phone",
    ok("Customer", "The customer."),
    bad={"404": "No such customer, or erased.", "422": "The identifier is blank."},
)
