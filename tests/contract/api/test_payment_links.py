"""/payment-links, as merchant-api.md §9.8 says it."""

from typing import Any

import pytest

from tests.contract.api.house import PUBLIC_URL, House

pytestmark = pytest.mark.anyio

TEA = {"title": "Earl Grey", "amount": 24.9, "currency": "BRL", "slug": "tea"}


async def create(house: House, **fields: Any) -> dict[str, Any]:
    made = await house.merchant("POST", "/payment-links", {**TEA, **fields})
    assert made.status == 201, made.body
    data: dict[str, Any] = made.json()["data"]
    return data


async def test_a_link_is_made_with_every_field_it_was_given(house: House) -> None:
    question = {"key": "size", "label": "Size", "type": "select", "options": ["S", "M"], "required": True}
    asked = {
        "description": "Loose leaf",
        "redirect_url": "https://shop.example/thanks",
        "callback_url": "https://shop.example/hook",
        "max_uses": 5,
        "expires_at": "2026-12-31T23:59:59-03:00",
        "require_address": True,
        "fields": [question],
        "gateway": "sandbox",
        "metadata": {"sku": "T-1"},
    }
    made = await house.merchant("POST", "/payment-links", {**TEA, **asked})

    assert list(made.json()) == ["success", "message", "data"]
    assert made.json()["message"] == "Payment link created."
    data = made.json()["data"]
    assert data["url"] == f"{PUBLIC_URL}/pay/tea"
    assert data["amount"] == "24.90"
    assert data["is_amount_fixed"] is True
    assert data["expires_at"] == "2027-01-01T02:59:59Z"
    assert {name: data[name] for name in asked if name != "expires_at"} == {
        name: value for name, value in asked.items() if name != "expires_at"
    }
    assert (data["use_count"], data["status"]) == (0, "active")
    for ref in ("tea", data["uuid"], data["uuid"].upper()):
        assert (await house.merchant("GET", f"/payment-links/{ref}")).json() == {"success": True, "data": data}


async def test_all_wrong_fields_are_told_at_once_in_the_seed_familys_shape(house: House) -> None:
    wrong = {
        "currency": "XX",
        "slug": "Tea!",
        "max_uses": 0,
        "expires_at": "tomorrow",
        "redirect_url": "ftp://x",
        "fields": [{"label": "no key", "type": "date"}],
    }
    answer = await house.merchant("POST", "/payment-links", wrong)

    assert answer.status == 400
    told = answer.json()
    assert (told["error"], told["code"]) == (True, "VALIDATION_ERROR")
    assert set(told["errors"]) == {
        "amount",
        "title",
        "currency",
        "slug",
        "max_uses",
        "expires_at",
        "redirect_url",
        "fields.0.key",
        "fields.0.type",
    }


async def test_an_open_amount_needs_none_and_takes_limits(house: House) -> None:
    data = await create(house, amount=None, is_amount_fixed=False, min_amount="5", max_amount=100)
    upside_down = await house.merchant(
        "POST", "/payment-links", {**TEA, "is_amount_fixed": "false", "min_amount": 9, "max_amount": 8}
    )

    assert (data["amount"], data["min_amount"], data["max_amount"]) == (None, "5.00", "100.00")
    assert set(upside_down.json()["errors"]) == {"max_amount"}


async def test_a_taken_slug_and_an_unknown_gateway_are_refused(house: House) -> None:
    await create(house)

    taken = await house.merchant("POST", "/payment-links", TEA, key=house.other.key)
    nowhere = await house.merchant("POST", "/payment-links", {**TEA, "slug": "x-1", "gateway": "nowhere"})

    assert (taken.status, taken.json()["code"]) == (409, "SLUG_TAKEN")
    assert (nowhere.status, nowhere.json()["code"]) == (404, "GATEWAY_NOT_FOUND")
    assert "errors" not in nowhere.json()


async def test_a_change_keeps_what_is_not_sent(house: House) -> None:
    made = await create(house, description="Loose leaf", max_uses=5, metadata={"sku": "T-1"})
    house.clock.advance(2_000_000)

    changed = await house.merchant("PATCH", "/payment-links/tea", {"status": "inactive", "amount": "30"})

    data = changed.json()["data"]
    assert changed.status == 200
    assert data == made | {"status": "inactive", "amount": "30.00", "updated_at": data["updated_at"]}
    assert data["updated_at"] > made["updated_at"]
    wrong = await house.merchant("PATCH", "/payment-links/tea", {"status": "expired"})
    assert set(wrong.json()["errors"]) == {"status"}
    opened = await house.merchant("PATCH", "/payment-links/tea", {"is_amount_fixed": False, "status": "active"})
    assert (opened.json()["data"]["amount"], opened.json()["data"]["status"]) == (None, "active")


async def test_links_are_listed_by_the_status_they_show(house: House) -> None:
    await create(house)
    await create(house, slug="off")
    await house.merchant("PATCH", "/payment-links/off", {"status": "inactive"})
    await create(house, slug="late", expires_at="2026-03-07T15:30:01Z")
    house.next_second()

    async def slugs(query: str) -> list[str]:
        answer = await house.merchant("GET", f"/payment-links?{query}")
        assert answer.status == 200
        return [row["slug"] for row in answer.json()["data"]]

    assert await slugs("") == ["late", "off", "tea"]
    assert await slugs("status=active") == ["tea"]
    assert await slugs("status=expired,inactive") == ["late", "off"]
    assert await slugs("status=nonsense") == []
    assert await slugs("per_page=1&page=2") == ["off"]
    assert (await house.merchant("GET", "/payment-links?from=x")).status == 400


async def test_another_merchants_link_is_not_found(house: House) -> None:
    made = await create(house)

    for ref in ("tea", made["uuid"]):
        for method, fields in (("GET", None), ("PATCH", {"title": "mine"})):
            answer = await house.merchant(method, f"/payment-links/{ref}", fields, key=house.other.key)
            assert (answer.status, answer.json()["code"]) == (404, "PAYMENT_LINK_NOT_FOUND")


async def test_a_repeated_creation_gets_the_first_answer(house: House) -> None:
    key = {"idempotency-key": "l-1"}
    fields = {name: value for name, value in TEA.items() if name != "slug"}
    first = await house.merchant("POST", "/payment-links", fields, headers=key)
    again = await house.merchant("POST", "/payment-links", fields, headers=key)

    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
