"""The published OpenAPI documents are true: every answer of every operation is one they describe."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from opentill.pix.port import Denied
from opentill.pix.port import Refused as BankRefused
from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, HOOK, INTENT, PAYMENT, House
from tests.contract.api.write_openapi import FOLDER, PUBLISHED, text


def test_the_published_documents_are_those_of_the_code() -> None:
    """Write them anew with `python -m tests.contract.api.write_openapi`."""
    for name, document in PUBLISHED.items():
        assert (FOLDER / name).read_text() == text(document), name


@pytest.mark.parametrize("document", [MERCHANT, EXTERNAL], ids=["merchant", "external"])
def test_every_schema_is_valid_and_every_example_passes_its_own(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for content in [operation["requestBody"]["content"]] if "requestBody" in operation else []:
            body = content["application/json"]
            validator(document, body["schema"]).validate(body["example"])
        for status in operation["responses"]:
            Draft202012Validator.check_schema(schema_of(operation, status))


@pytest.mark.parametrize("document", [MERCHANT, EXTERNAL], ids=["merchant", "external"])
def test_every_answer_has_an_example_that_its_schema_describes(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for status, response in operation["responses"].items():
            content = response["content"]["application/json"]
            assert content["examples"], (operation["operationId"], status)
            for example in content["examples"].values():
                _, _, reference = example.get("$ref", "").rpartition("/")
                value = document["components"]["examples"][reference]["value"] if reference else example["value"]
                validator(document, content["schema"]).validate(value)


def test_examples_of_the_pix_api_say_what_went_wrong() -> None:
    shown = {
        name
        for operation in operations(EXTERNAL)
        for response in operation["responses"].values()
        for name in response["content"]["application/json"]["examples"]
    }
    assert {"Internal error", "Too many requests", "Insufficient balance", "MED is already closed"} <= shown


def test_every_operation_has_a_name_of_its_own() -> None:
    for document in (MERCHANT, EXTERNAL):
        names = [operation["operationId"] for operation in operations(document)]
        assert len(names) == len(set(names))


@pytest.mark.anyio
async def test_answers_of_the_merchant_api_are_as_described(house: House) -> None:
    async def check(method: str, path: str, fields: object = None, *, expect: int, **more: Any) -> Any:
        answer = await house.merchant(method, path, fields, **more)
        assert answer.status == expect, answer.body
        assert_described(MERCHANT, method, path, answer)
        return answer.json()

    full = {
        **INTENT,
        "customer_phone": "+55 11 99999-0000",
        "description": "Pedido",
        "metadata": {"a": [1]},
        "cancel_url": "https://shop.example/cancel",
        "callback_url": "https://shop.example/hook",
    }
    intent = await check("POST", "/payment-intents", full, expect=201)
    await check("POST", "/payment-intents", {}, expect=400)
    await check("POST", "/payment-intents", {**INTENT, "gateway": "none"}, expect=404)
    await check("GET", f"/payment-intents/{intent['transaction_id']}", expect=200)
    await check("GET", "/payment-intents/x", expect=400)
    await check("GET", "/payment-intents/txn_0000000000000000", expect=404)
    payment = await check("POST", "/payments", PAYMENT, expect=201, headers={"idempotency-key": "k"})
    await check("POST", "/payments", {}, expect=409, headers={"idempotency-key": "k"})
    await check("POST", "/payments", {}, expect=422)
    await check("POST", "/payments", {}, expect=422, headers={"user-agent": "GuzzleHttp/7"})
    await check("POST", "/payments", expect=400, body=b"{")
    await check("POST", "/payments", PAYMENT, expect=401, key=None)
    await check("POST", "/payments", expect=413, body=b" " * 1048577)
    await check("GET", f"/payments/{payment['data']['payment_id']}", expect=200)
    await check("GET", "/payments/x", expect=422)
    await check("GET", "/payments/txn_0000000000000000", expect=404)
    await check("GET", "/transactions?per_page=1", expect=200)
    await check("GET", "/transactions?from=x", expect=422)
    await check("GET", f"/transactions/{payment['data']['trx_id']}", expect=200)
    await check("GET", "/transactions/x", expect=404)
    customer = await check("POST", "/customers", {"name": "Jane", "email": "j@example.com"}, expect=201)
    await check("POST", "/customers", {"name": "Jane", "email": "J@example.com"}, expect=409)
    await check("POST", "/customers", {}, expect=422)
    await check("GET", "/customers", expect=200)
    await check("GET", "/customers?from=x", expect=422)
    await check("GET", f"/customers/{customer['data']['uuid']}", expect=200)
    await check("GET", "/customers/x@y.z", expect=404)
    await check("GET", "/customers/ ", expect=422)
    await check_links(check)
    await check_invoices(check)
    await check("GET", "/health", expect=200)
    await house.run("update api_key set rate_limit = 1")
    house.next_second()
    await check("GET", "/health", expect=429)
    document = await house.merchant("GET", "/openapi.json", key=None)
    assert document.json() == MERCHANT


async def check_links(check: Any) -> None:
    question = {"key": "size", "label": "Size", "type": "select", "options": ["S", "M"]}
    tea = {"title": "Tea", "amount": 5, "currency": "BRL", "slug": "tea", "fields": [question]}
    await check("POST", "/payment-links", tea, expect=201)
    await check("POST", "/payment-links", tea, expect=409)
    await check("POST", "/payment-links", {}, expect=400)
    await check("POST", "/payment-links", {**tea, "gateway": "none"}, expect=404)
    await check("GET", "/payment-links?status=active", expect=200)
    await check("GET", "/payment-links?to=x", expect=400)
    await check("GET", "/payment-links/tea", expect=200)
    await check("GET", "/payment-links/none", expect=404)
    await check("PATCH", "/payment-links/tea", {"max_uses": 3, "is_amount_fixed": False}, expect=200)
    await check("PATCH", "/payment-links/tea", {"max_uses": "x"}, expect=400)
    await check("PATCH", "/payment-links/none", {}, expect=404)


async def check_invoices(check: Any) -> None:
    fields = {
        "customer": {"name": "Jane"},
        "currency": "BRL",
        "items": [{"description": "x", "quantity": 2, "unit_price": "1.50"}],
        "due_date": "2026-03-31",
    }
    path = f"/invoices/{(await check('POST', '/invoices', fields, expect=201))['data']['uuid']}"
    await check("POST", "/invoices", {}, expect=422)
    await check("POST", "/invoices", {**fields, "number": "INV-000001"}, expect=409)
    await check("GET", "/invoices?status=draft", expect=200)
    await check("GET", "/invoices?from=x", expect=422)
    await check("GET", path, expect=200)
    await check("GET", "/invoices/none", expect=404)
    await check("PATCH", path, {"notes": "x"}, expect=200)
    await check("PATCH", path, {"tax": "x"}, expect=422)
    await check("POST", f"{path}/send", expect=200)
    await check("POST", f"{path}/send", expect=409)
    await check("PATCH", path, {"notes": "y"}, expect=409)
    await check("POST", f"{path}/cancel", expect=200)
    await check("POST", f"{path}/cancel", expect=409)
    await check("POST", "/invoices/none/cancel", expect=404)


@pytest.mark.anyio
async def test_answers_of_the_pix_api_are_as_described(house: House) -> None:
    async def check(method: str, path: str, fields: object = None, *, expect: int, **more: Any) -> Any:
        answer = await house.pix(method, path, fields, **more)
        assert answer.status == expect, answer.body
        assert_described(EXTERNAL, method, path, answer)
        return answer.json()

    hooked = await check("POST", "/webhooks", HOOK, expect=201)
    await check("POST", "/webhooks", {}, expect=400)
    await check("POST", "/webhooks", expect=400, body=b"{")
    await check("POST", "/webhooks", {"url": "http://a.example"}, expect=422)
    await check("POST", "/webhooks", HOOK, expect=401, headers={"hmac": None})
    await check("POST", "/webhooks", HOOK, expect=415, headers={"content-type": "text/plain"})
    await check("GET", "/webhooks", expect=200)
    await check("DELETE", f"/webhooks/{hooked['id']}", expect=200)
    await check("DELETE", f"/webhooks/{hooked['id']}", expect=404)
    await check("POST", "/pix/cash-in", CASH_IN, expect=200)
    await check("POST", "/pix/cash-in", {}, expect=400)
    await check("POST", "/pix/cash-in", {"amount": 0}, expect=422)
    house.bank.failures = [BankRefused("invalid", "no")]
    await check("POST", "/pix/cash-in", CASH_IN, expect=422)
    house.bank.failures = [Denied("contract")]
    await check("POST", "/pix/cash-in", CASH_IN, expect=503)
    document = await house.pix("GET", "/openapi.json", headers={"authorization": None})
    assert document.json() == EXTERNAL


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def assert_described(document: dict[str, Any], method: str, target: str, answer: Response) -> None:
    """Check the answer of an address, its body and its headers."""
    operation = described(document, method, target)
    validator(document, schema_of(operation, str(answer.status))).validate(json.loads(answer.body))
    for name in operation["responses"][str(answer.status)].get("headers", {}):
        assert name.lower() in answer.headers


def described(document: dict[str, Any], method: str, target: str) -> dict[str, Any]:
    """Find the operation of an address."""
    address = target.partition("?")[0]
    matching = (path for path in document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), address))
    path = address if address in document["paths"] else next(matching)
    found: dict[str, Any] = document["paths"][path][method.lower()]
    return found


def schema_of(operation: dict[str, Any], status: str) -> dict[str, Any]:
    schema: dict[str, Any] = operation["responses"][status]["content"]["application/json"]["schema"]
    return schema


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})
