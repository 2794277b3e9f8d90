"""/customers, as merchant-api.md §9.7 says it."""

from typing import Any

import pytest

from opentill.payments.customers import service
from tests.contract.api.house import House

pytestmark = pytest.mark.anyio

JANE = {"name": "Jane", "email": "jane@example.com", "phone": "+8801712345678"}


async def create(house: House, **fields: Any) -> dict[str, Any]:
    made = await house.merchant("POST", "/customers", {**JANE, **fields})
    assert made.status == 201, made.body
    data: dict[str, Any] = made.json()["data"]
    return data


async def test_a_customer_is_the_same_object_wherever_it_is_shown(house: House) -> None:
    made = await create(house)

    shown = (await house.merchant("GET", f"/customers/{made['uuid']}")).json()["data"]
    [listed] = (await house.merchant("GET", "/customers")).json()["data"]

    assert made == shown == listed
    assert isinstance(made["id"], int)
    assert made["email_masked"] == "j***@example.com"
    assert made["phone_masked"] == "+8801*****678"


@pytest.mark.checklist("M29")
async def test_a_customer_is_found_as_the_official_clients_ask(house: House) -> None:
    made = await create(house)

    # The server decodes %2B and %40 before it hands the path over; a raw + and @ come as they are.
    for identifier in ("+8801712345678", "jane@example.com", "JANE@example.com", made["uuid"]):
        found = await house.merchant("GET", f"/customers/{identifier}")
        assert found.status == 200, identifier
        assert found.json()["data"] == made


async def test_nobody_is_found_by_what_nobody_has(house: House) -> None:
    await create(house)

    for identifier in ("x@y.z", "+1", "no digits", "0" * 400, "00000000-0000-4000-8000-000000000000"):
        answer = await house.merchant("GET", f"/customers/{identifier}")
        assert (answer.status, answer.json()["code"]) == (404, "CUSTOMER_NOT_FOUND"), identifier
    blank = await house.merchant("GET", "/customers/ ")
    assert blank.status == 422
    assert blank.json()["errors"][0]["code"] == "IDENTIFIER_REQUIRED"


async def test_wrong_fields_are_named(house: House) -> None:
    missing = await house.merchant("POST", "/customers", {"email": "nobody"})
    long = await house.merchant("POST", "/customers", {"name": "x" * 151})

    assert missing.status == long.status == 422
    codes = {entry["field"]: entry["code"] for entry in missing.json()["errors"]}
    assert codes == {"name": "NAME_REQUIRED", "email": "VALIDATION_FAILED"}
    assert [entry["code"] for entry in long.json()["errors"]] == ["VALIDATION_FAILED"]
    assert (await house.rows())["customer"] == 0


@pytest.mark.checklist("M64")
async def test_an_address_in_another_case_exists_and_none_at_all_never_does(house: House) -> None:
    await create(house)

    again = await house.merchant("POST", "/customers", {**JANE, "email": "JANE@Example.com"})
    for _ in range(2):
        assert (await house.merchant("POST", "/customers", {"name": "Jane"})).status == 201

    assert (again.status, again.json()["code"]) == (409, "CUSTOMER_EXISTS")


@pytest.mark.checklist("M64")
async def test_an_erased_customer_is_not_found_and_old_payments_stay(house: House) -> None:
    made = await create(house)
    payment = (
        await house.merchant("POST", "/payments", {"amount": "1", "currency": "BRL", "customer_mail": JANE["email"]})
    ).json()["data"]
    owner = house.shop.merchant.owner
    await house.db.write(lambda tx: service.erase(tx, made["uuid"], owner=owner))

    gone = await house.merchant("GET", f"/customers/{made['uuid']}")
    old = await house.merchant("GET", f"/payments/{payment['payment_id']}")
    listed = await house.merchant("GET", "/customers")

    assert gone.status == 404
    assert old.status == 200
    assert "customer" not in old.json()["data"]
    assert listed.json()["meta"]["total"] == 0


async def test_customers_are_listed_in_pages_and_by_what_they_are_found_by(house: House) -> None:
    made = [await create(house, email=f"{number}@example.com", phone=str(number)) for number in range(5)]

    first = (await house.merchant("GET", "/customers?per_page=2")).json()
    rest = (await house.merchant("GET", f"/customers?per_page=100&cursor={first['meta']['next_cursor']}")).json()
    one = (await house.merchant("GET", "/customers?email=3@EXAMPLE.com&from=2026-03-07")).json()
    none = (await house.merchant("GET", "/customers?to=2026-03-06")).json()

    assert [row["id"] for row in first["data"] + rest["data"]] == [row["id"] for row in reversed(made)]
    assert first["meta"] | {"next_cursor": ""} == {
        "page": 1,
        "per_page": 2,
        "total": 5,
        "total_pages": 3,
        "next_cursor": "",
    }
    assert rest["meta"]["next_cursor"] is None
    assert [row["id"] for row in one["data"]] == [made[3]["id"]]
    assert none["data"] == []


async def test_another_merchant_sees_none_of_them(house: House) -> None:
    made = await create(house)

    theirs = await house.merchant("GET", f"/customers/{made['uuid']}", key=house.other.key)
    listed = await house.merchant("GET", "/customers", key=house.other.key)
    same = await house.merchant("POST", "/customers", JANE, key=house.other.key)

    assert theirs.status == 404
    assert listed.json()["meta"]["total"] == 0
    assert same.status == 201


async def test_a_repeated_creation_gets_the_first_answer(house: House) -> None:
    key = {"idempotency-key": "c-1"}
    first = await house.merchant("POST", "/customers", JANE, headers=key)
    again = await house.merchant("POST", "/customers", JANE, headers=key)

    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await house.rows())["customer"] == 1
