"""/refunds, as merchant-api.md §9.6 says it."""

from typing import Any

import pytest

from opentill.payments import flow
from tests.contract.api.client import Response
from tests.contract.api.house import PAYMENT, House

pytestmark = pytest.mark.anyio

REFUND = {
    "id", "uuid", "transaction_id", "trx_id", "payment_id", "gateway_trx_id", "amount", "currency", "charge", "reason",
    "status", "gateway_refund_id", "failure_code", "failure_message", "processed_at", "created_at",
}  # fmt: skip


async def paid(house: House, amount: str = "500.00", **more: str) -> dict[str, Any]:
    made = (await house.merchant("POST", "/payments", {**PAYMENT, "amount": amount, **more})).json()["data"]
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, made["token"], "sandbox")
    await flow.submit(tools, made["token"], {"outcome": "pay"})
    read: dict[str, Any] = (await house.merchant("GET", f"/payments/{made['payment_id']}")).json()["data"]
    assert read["status"] == "completed"
    return read


async def refunded(house: House, **fields: object) -> Response:
    return await house.merchant("POST", "/refunds", fields)


async def test_a_refund_is_answered_with_all_its_fields(house: House) -> None:
    payment = await paid(house)

    made = await refunded(house, transaction_id=payment["trx_id"], amount=150, reason="Returned goods")

    assert made.status == 201
    refund = made.json()["data"]
    assert set(refund) == REFUND
    assert refund["transaction_id"] == payment["id"]
    assert refund["trx_id"] == payment["trx_id"]
    assert refund["payment_id"] == payment["payment_id"]
    assert (refund["amount"], refund["currency"], refund["status"]) == ("150.00", "BRL", "completed")
    assert refund["gateway_refund_id"].startswith("sbr_")
    read = (await house.merchant("GET", f"/payments/{payment['payment_id']}")).json()["data"]
    assert (read["status"], read["amount_refunded"], read["refund_status"]) == ("completed", "150.00", "partial")


async def test_without_an_amount_all_that_is_left_goes_back(house: House) -> None:
    payment = await paid(house)
    await refunded(house, trx_id=payment["id"], amount="150.00")

    rest = await refunded(house, trx_id=payment["payment_id"])

    assert rest.json()["data"]["amount"] == "350.00"
    read = (await house.merchant("GET", f"/transactions/{payment['trx_id']}")).json()["data"]
    assert (read["status"], read["payment_status"], read["refund_status"]) == ("refunded", "completed", "full")


@pytest.mark.parametrize("form", ["trx_id", "payment_id", "id", "gateway_trx_id"])
async def test_a_transaction_is_named_in_any_form(house: House, form: str) -> None:
    payment = await paid(house)

    made = await refunded(house, transaction_id=payment[form], amount="1")

    assert made.status == 201
    assert (await house.merchant("GET", f"/refunds/{payment[form]}")).json()["data"] == made.json()["data"]


async def test_a_reference_that_means_two_transactions_is_refused(house: House) -> None:
    one, other = await paid(house), await paid(house)
    await house.run(
        "update payment set gateway_ref = cast(:other as text) where id = :one", one=one["id"], other=other["id"]
    )

    refused = await refunded(house, transaction_id=other["id"])

    assert (refused.status, refused.json()["errors"][0]["code"]) == (422, "AMBIGUOUS_REFERENCE")
    assert (await refunded(house, transaction_id=other["trx_id"])).status == 201


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 422, "TRANSACTION_ID_REQUIRED"),
        ({"transaction_id": " "}, 422, "TRANSACTION_ID_REQUIRED"),
        ({"transaction_id": "txn_0000000000000000"}, 404, "TRANSACTION_NOT_FOUND"),
        ({"transaction_id": "x" * 300}, 404, "TRANSACTION_NOT_FOUND"),
        ({"amount": "ten"}, 422, "INVALID_AMOUNT"),
        ({"amount": "1e2"}, 422, "INVALID_AMOUNT"),
        ({"amount": "1.001"}, 422, "INVALID_AMOUNT"),
        ({"amount": [1]}, 422, "INVALID_AMOUNT"),
        ({"amount": "-5"}, 400, "INVALID_REFUND_PARAMETERS"),
        ({"amount": -5}, 400, "INVALID_REFUND_PARAMETERS"),
        ({"amount": 0}, 400, "INVALID_REFUND_PARAMETERS"),
        ({"amount": "500.01"}, 400, "INVALID_REFUND_PARAMETERS"),
    ],
)
async def test_what_cannot_be_refunded_is_said_so(house: House, fields: dict[str, Any], status: int, code: str) -> None:
    payment = await paid(house)
    before = await house.rows()
    named = {} if not fields or "transaction_id" in fields else {"transaction_id": payment["trx_id"]}

    refused = await refunded(house, **named, **fields)

    assert (refused.status, refused.json()["errors"][0]["code"]) == (status, code)
    if status == 400:
        assert "500.00 BRL" in refused.json()["message"]
    assert await house.rows() == before


async def test_another_merchants_transaction_is_not_found(house: House) -> None:
    payment = await paid(house)
    await refunded(house, transaction_id=payment["trx_id"], amount=1)

    other = {"key": house.other.key}
    asked = await house.merchant("POST", "/refunds", {"transaction_id": payment["trx_id"]}, **other)
    read = await house.merchant("GET", f"/refunds/{payment['trx_id']}", **other)
    listed = await house.merchant("GET", "/refunds", **other)

    assert (asked.status, asked.json()["code"]) == (404, "TRANSACTION_NOT_FOUND")
    assert (read.status, read.json()["code"]) == (404, "REFUND_NOT_FOUND")
    assert listed.json()["data"] == []


async def test_a_key_gives_money_back_once_and_replays_the_answer(house: House) -> None:
    payment, keyed = await paid(house), {"idempotency-key": "back-1"}
    body = {"transaction_id": payment["trx_id"], "amount": "100.00"}

    first = await house.merchant("POST", "/refunds", body, headers=keyed)
    again = await house.merchant("POST", "/refunds", body, headers=keyed)
    other = await house.merchant("POST", "/refunds", {**body, "amount": "200.00"}, headers=keyed)

    assert (first.status, again.status, other.status) == (201, 201, 409)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    read = (await house.merchant("GET", f"/payments/{payment['trx_id']}")).json()["data"]
    assert read["amount_refunded"] == "100.00"


async def test_a_refused_refund_leaves_its_key_free(house: House) -> None:
    payment, keyed = await paid(house), {"idempotency-key": "back-2"}

    refused = await house.merchant(
        "POST", "/refunds", {"transaction_id": payment["trx_id"], "amount": "600"}, headers=keyed
    )
    made = await house.merchant(
        "POST", "/refunds", {"transaction_id": payment["trx_id"], "amount": "500"}, headers=keyed
    )

    assert (refused.status, made.status) == (400, 201)


async def test_lists_are_filtered_and_paged(house: House) -> None:
    one, other = await paid(house), await paid(house, "20.09", reference="ORD-2")
    for _ in range(3):
        await refunded(house, transaction_id=one["trx_id"], amount="1.00")
    await refunded(house, transaction_id=other["trx_id"])

    async def listed(query: str) -> list[str]:
        answer = await house.merchant("GET", f"/refunds?{query}")
        assert answer.status == 200
        return [refund["trx_id"] for refund in answer.json()["data"]]

    assert await listed("") == [other["trx_id"], *[one["trx_id"]] * 3]
    assert await listed(f"trx_id={one['trx_id']}") == [one["trx_id"]] * 3
    assert await listed(f"transaction_id={other['id']}") == [other["trx_id"]]
    assert await listed("trx_id=nothing") == []
    assert await listed("status=failed") == [other["trx_id"]]
    assert await listed("status=nonsense") == []
    assert await listed(f"status=failed&trx_id={other['trx_id']}") == [other["trx_id"]]
    assert await listed(f"status=failed&trx_id={one['trx_id']}") == []
    assert await listed("reference=ORD-2") == [other["trx_id"]]
    assert await listed(f"payment_id={one['payment_id']}") == [one["trx_id"]] * 3
    assert await listed("gateway=pix") == []
    page = (await house.merchant("GET", "/refunds?per_page=2")).json()
    assert page["meta"] | {"next_cursor": ""} == {
        "page": 1, "per_page": 2, "total": 4, "total_pages": 2, "next_cursor": "",
    }  # fmt: skip
    rest = await listed(f"per_page=2&cursor={page['meta']['next_cursor']}")
    assert rest == [one["trx_id"]] * 2
    refused = await house.merchant("GET", "/refunds?from=yesterday")
    assert (refused.status, refused.json()["errors"][0]["code"]) == (422, "INVALID_DATE")
