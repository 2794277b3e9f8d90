"""Every example body of merchant-api.md passes against what this implementation publishes of itself (M67)."""

import json

import pytest

from opentill.api.merchant.operations import DOCUMENT
from opentill.webhooks import schema
from tests.contract.api import examples, write_examples
from tests.contract.api.house import House
from tests.contract.api.test_openapi import schema_of, validator

pytestmark = pytest.mark.bar("C16")

LINK = {"title": "Tea", "currency": "BRL", "amount": "5.00", "is_amount_fixed": True, "require_address": False}
INVOICE = {
    "customer": {"name": "Jane", "email": "jane@example.com"},
    "currency": "BRL",
    "items": [{"description": "Tea", "quantity": "1.5", "unit_price": "5.00"}],
}
INVOICE_KEYS = (
    "id uuid number url subtotal tax discount total amount_paid currency items notes due_date status customer paid_at"
    " payment_id created_at updated_at"
)


@pytest.mark.checklist("M67")
@pytest.mark.parametrize("section", list(examples.ANSWERS))
def test_an_answer_of_the_document_is_an_answer_of_this_api(section: str) -> None:
    method, target, status, body = examples.ANSWERS[section]
    path = next(one for one in DOCUMENT["paths"] if matches(one, target))
    operation = DOCUMENT["paths"][path][method.lower()]

    validator(DOCUMENT, schema_of(operation, str(status))).validate(body)


@pytest.mark.checklist("M67")
def test_the_webhook_body_of_the_document_is_one_of_this_engine() -> None:
    body = json.dumps(examples.WEBHOOK).encode()

    assert schema.faults_in(body, "merchant/1", "payment.completed") == []


@pytest.mark.checklist("M67")
@pytest.mark.anyio
async def test_the_request_bodies_of_the_document_are_taken(house: House) -> None:
    intent = await house.merchant("POST", "/payment-intents", examples.INTENT)
    link = await house.merchant(
        "POST", "/payment-links", {"title": "Tea", "currency": "BRL", "amount": 5, "slug": "tea"}
    )
    sample = intent.json()

    assert (intent.status, link.status) == (201, 201)
    created = examples.ANSWERS["9.2 created"][3]
    assert (list(sample), list(sample["data"])) == (list(created), list(created["data"]))
    assert link.json()["message"] == "Payment link created."
    assert link.json()["data"]["url"] == "https://pay.example.com/pay/tea"


@pytest.mark.checklist("M67")
@pytest.mark.anyio
async def test_what_is_answered_has_the_keys_of_the_examples(house: House) -> None:
    made = (await house.merchant("POST", "/payments", {"amount": "9.00", "currency": "USD"})).json()
    payment = (await house.merchant("GET", f"/payments/{made['data']['payment_id']}")).json()["data"]
    transaction = (await house.merchant("GET", f"/transactions/{made['data']['trx_id']}")).json()["data"]
    customer = (await house.merchant("POST", "/customers", {"name": "Jane", "email": "j@example.com"})).json()["data"]
    health = (await house.merchant("GET", "/health")).json()["data"]
    wrong = (await house.merchant("POST", "/payments", {"amount": 0, "currency": "USD"})).json()
    seed = (await house.merchant("POST", "/payment-intents", {})).json()

    link = (await house.merchant("POST", "/payment-links", LINK)).json()["data"]
    invoice = (await house.merchant("POST", "/invoices", INVOICE)).json()["data"]

    assert made["data"].keys() == examples.CREATED.keys()
    assert payment.keys() == examples.PAYMENT.keys() - {"customer"}, "nothing is known of this payer"
    assert transaction.keys() == examples.TRANSACTION.keys()
    assert customer.keys() == examples.CUSTOMER.keys()
    assert health.keys() == examples.HEALTH.keys()
    assert wrong.keys() == examples.ANSWERS["3.2 client, default caller"][3].keys()
    assert seed.keys() == examples.ANSWERS["3.2 seed, validation"][3].keys()
    assert link.keys() >= {*LINK, *["id", "uuid", "slug", "url", "use_count", "status", "created_at", "updated_at"]}
    assert invoice.keys() >= set(INVOICE_KEYS.split())


@pytest.mark.anyio
async def test_the_examples_of_the_merchant_api_are_answers_that_it_gives() -> None:
    """Have them given anew with `python -m tests.contract.api.write_examples`."""
    assert await write_examples.given_anew() == write_examples.TARGET.read_text()


def matches(path: str, target: str) -> bool:
    """Tell whether a target is an address of a path of the document."""
    wanted, given = path.split("/"), target.split("/")
    return len(wanted) == len(given) and all(w == g or w.startswith("{") for w, g in zip(wanted, given, strict=True))
