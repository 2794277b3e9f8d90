"""/invoices, as merchant-api.md §9.9 says it."""

import re
from typing import Any

import pytest

from tests.contract.api.house import PUBLIC_URL, House

pytestmark = pytest.mark.anyio

INVOICE = {
    "customer": {"name": "Jane Smith", "email": "jane@example.com"},
    "currency": "BRL",
    "items": [
        {"description": "Consulting, hours", "quantity": 1.5, "unit_price": "180.00"},
        {"description": "Travel", "quantity": "1", "unit_price": 42},
    ],
    "tax": "13.50",
    "discount": "3.50",
    "due_date": "2026-03-31",
    "notes": "Thank you.",
    "metadata": {"project": "A"},
}


async def create(house: House, **fields: Any) -> dict[str, Any]:
    made = await house.merchant("POST", "/invoices", {**INVOICE, **fields})
    assert made.status == 201, made.body
    data: dict[str, Any] = made.json()["data"]
    return data


async def act(house: House, invoice: dict[str, Any], action: str, *, expect: int = 200) -> dict[str, Any]:
    answer = await house.merchant("POST", f"/invoices/{invoice['uuid']}/{action}")
    assert answer.status == expect, answer.body
    told: dict[str, Any] = answer.json()
    return told["data"] if expect == 200 else told


async def test_an_invoice_is_made_with_exact_totals(house: House) -> None:
    data = await create(house)

    assert data["number"] == "INV-000001"
    assert re.fullmatch(PUBLIC_URL + r"/invoice/[0-9a-f]{64}", data["url"])
    assert [data[name] for name in ("subtotal", "tax", "discount", "total", "amount_paid")] == [
        "312.00",
        "13.50",
        "3.50",
        "322.00",
        "0.00",
    ]
    assert data["items"][0] == {
        "description": "Consulting, hours",
        "quantity": "1.5",
        "unit_price": "180.00",
        "total": "270.00",
    }
    assert (data["status"], data["due_date"], data["paid_at"], data["payment_id"]) == (
        "draft",
        "2026-03-31",
        None,
        None,
    )
    assert data["customer"]["name"] == "Jane Smith"
    assert (await house.merchant("GET", f"/invoices/{data['uuid']}")).json()["data"] == data


async def test_a_known_customer_is_billed_by_id(house: House) -> None:
    customer = (await house.merchant("POST", "/customers", {"name": "Bia"})).json()["data"]

    data = await create(house, customer=None, customer_id=customer["uuid"])
    nobody = await house.merchant(
        "POST", "/invoices", {**INVOICE, "customer_id": "00000000-0000-4000-8000-000000000000"}
    )
    theirs = await house.merchant(
        "POST", "/invoices", {**INVOICE, "customer_id": customer["uuid"]}, key=house.other.key
    )

    assert data["customer"] == {"uuid": customer["uuid"], "name": "Bia", "email": None, "phone": None}
    assert nobody.status == theirs.status == 422
    assert nobody.json()["errors"][0]["field"] == theirs.json()["errors"][0]["field"] == "customer_id"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer": None}, "customer"),
        ({"customer": {}}, "customer"),
        ({"customer": {"email": "x"}}, "customer.email"),
        ({"currency": "ZZZ"}, "currency"),
        ({"items": []}, "items"),
        ({"items": "x"}, "items"),
        ({"items": [{"description": "x", "quantity": 1, "unit_price": 1}] * 201}, "items"),
        ({"items": [{"quantity": 1, "unit_price": 1}]}, "items.0.description"),
        ({"items": [{"description": "x", "quantity": 0, "unit_price": 1}]}, "items.0.quantity"),
        ({"items": [{"description": "x", "quantity": "1.234", "unit_price": 1}]}, "items.0.quantity"),
        ({"items": [{"description": "x", "quantity": 1, "unit_price": "0.001"}]}, "items.0.unit_price"),
        ({"items": [{"description": "x", "quantity": 1, "unit_price": -1}]}, "items.0.unit_price"),
        ({"items": [{"description": "x", "quantity": 999999999, "unit_price": 999999999999}]}, "items"),
        ({"discount": "400"}, "items"),
        ({"due_date": "2026-02-30"}, "due_date"),
        ({"number": "x" * 31}, "number"),
        ({"notes": "x" * 2001}, "notes"),
        ({"callback_url": "x"}, "callback_url"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_made(house: House, change: dict[str, Any], field: str) -> None:
    answer = await house.merchant("POST", "/invoices", {**INVOICE, **change})

    assert answer.status == 422, answer.body
    assert field in {entry["field"] for entry in answer.json()["errors"]}
    assert (await house.rows())["customer"] == 0


async def test_a_draft_is_changed_and_sent_and_then_only_its_date_moves(house: House) -> None:
    draft = await create(house)
    path = f"/invoices/{draft['uuid']}"

    changed = await house.merchant("PATCH", path, {"tax": "0", "number": "A-7", "customer": {"name": "Bia"}})
    assert changed.status == 200
    assert [changed.json()["data"][name] for name in ("number", "total", "notes")] == ["A-7", "308.50", "Thank you."]
    assert changed.json()["data"]["customer"]["name"] == "Bia"
    assert (await act(house, draft, "send"))["status"] == "sent"

    refused = await house.merchant("PATCH", path, {"tax": "1"})
    moved = await house.merchant("PATCH", path, {"due_date": "2026-04-30"})
    assert (refused.status, refused.json()["code"]) == (409, "INVALID_STATE")
    assert (moved.status, moved.json()["data"]["due_date"]) == (200, "2026-04-30")
    assert (await act(house, draft, "send", expect=409))["code"] == "INVALID_STATE"
    assert (await act(house, draft, "cancel"))["status"] == "cancelled"
    assert (await act(house, draft, "cancel", expect=409))["code"] == "INVALID_STATE"


async def test_sending_writes_to_the_customer_once_where_they_have_an_address(house: House) -> None:
    async def letters() -> list[tuple[str, int]]:
        rows = await house.db.read(lambda tx: tx.all("select kind, merchant_id, sealed from mail order by id"))
        assert not any("jane" in row["sealed"] for row in rows)
        return [(row["kind"], row["merchant_id"]) for row in rows]

    draft = await create(house)
    nameless = await create(house, customer={"name": "Bia"})
    assert await letters() == []
    for invoice in (draft, nameless):
        await act(house, invoice, "send")
        await act(house, invoice, "send", expect=409)
    assert await letters() == [("invoice", 1)]


async def test_a_taken_number_is_refused(house: House) -> None:
    await create(house, number="A-1")
    other = await create(house)

    made = await house.merchant("POST", "/invoices", {**INVOICE, "number": "A-1"})
    changed = await house.merchant("PATCH", f"/invoices/{other['uuid']}", {"number": "A-1"})

    for answer in (made, changed):
        assert (answer.status, answer.json()["code"]) == (409, "INVOICE_NUMBER_TAKEN")
    assert (await create_for(house, house.other.key, number="A-1"))["number"] == "A-1"


async def create_for(house: House, key: str, **fields: Any) -> dict[str, Any]:
    made = await house.merchant("POST", "/invoices", {**INVOICE, **fields}, key=key)
    data: dict[str, Any] = made.json()["data"]
    return data


async def test_invoices_are_listed_by_the_status_they_show(house: House) -> None:
    draft = await create(house)
    await act(house, await create(house, due_date="2026-03-07"), "send")
    await act(house, await create(house, due_date=None), "send")
    house.clock.advance(12 * 3_600_000_000)

    async def numbers(query: str) -> list[str]:
        return [row["number"] for row in (await house.merchant("GET", f"/invoices?{query}")).json()["data"]]

    assert await numbers("") == ["INV-000003", "INV-000002", "INV-000001"]
    assert await numbers("status=overdue") == ["INV-000002"]
    assert await numbers("status=sent") == ["INV-000003"]
    assert await numbers("status=draft,sent") == ["INV-000003", "INV-000001"]
    assert await numbers("status=x") == []
    assert await numbers("reference=INV-000001") == [draft["number"]]


async def test_another_merchants_invoice_is_not_found(house: House) -> None:
    made = await create(house)
    path = f"/invoices/{made['uuid']}"

    for method, target, fields in (
        ("GET", path, None),
        ("PATCH", path, {"notes": "x"}),
        ("POST", f"{path}/send", None),
        ("POST", f"{path}/cancel", None),
        ("GET", "/invoices/x", None),
    ):
        answer = await house.merchant(method, target, fields, key=house.other.key)
        assert (answer.status, answer.json()["code"]) == (404, "INVOICE_NOT_FOUND")


async def test_every_change_repeated_under_one_key_gets_the_first_answer(house: House) -> None:
    made = await create(house)
    path = f"/invoices/{made['uuid']}"

    requests: list[tuple[str, str, Any]] = [
        ("POST", "/invoices", INVOICE),
        ("PATCH", path, {"notes": "x"}),
        ("POST", f"{path}/send", None),
        ("POST", f"{path}/cancel", None),
    ]
    for number, (method, target, fields) in enumerate(requests):
        key = {"idempotency-key": f"i-{number}"}
        first = await house.merchant(method, target, fields, headers=key)
        again = await house.merchant(method, target, fields, headers=key)
        assert first.status in (200, 201)
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["idempotent-replayed"] == "true"
