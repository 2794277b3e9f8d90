"""PATCH, cancel and lists of payments in both families, and disputes (merchant-api.md §9.4, §9.10)."""

from typing import Any

import pytest

from opentill.payments import flow
from opentill.payments.disputes import service as disputes
from tests.contract.api.house import INTENT, PAYMENT, House

pytestmark = pytest.mark.anyio


async def ordered(house: House, **more: object) -> dict[str, Any]:
    made: dict[str, Any] = (await house.merchant("POST", "/payments", {**PAYMENT, **more})).json()["data"]
    return made


async def paid(house: House, token: str) -> None:
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, token, "sandbox")
    await flow.submit(tools, token, {"outcome": "paid"})


@pytest.mark.parametrize("family", ["payments", "payment-intents"])
async def test_a_pending_payment_is_changed(house: House, family: str) -> None:
    made = await ordered(house, metadata={"old": 1}, callback_url="https://shop.example/hook")

    changed = await house.merchant(
        "PATCH",
        f"/{family}/{made['trx_id']}",
        {"description": "Two lamps", "metadata": {"cart": 17}, "redirect_url": "https://shop.example/back"},
    )

    assert changed.status == 200
    shown = changed.json()["data"]
    assert (shown["description"], shown["metadata"]) == ("Two lamps", {"cart": 17})
    assert shown["redirect_url"] == "https://shop.example/back"
    assert shown["callback_url"] == "https://shop.example/hook"
    assert ("payment_url" in changed.json()) == (family == "payment-intents")
    assert (await house.merchant("GET", f"/payments/{made['trx_id']}")).json()["data"] == shown


@pytest.mark.parametrize(("family", "status"), [("payments", 422), ("payment-intents", 400)])
async def test_what_cannot_be_read_changes_nothing(house: House, family: str, status: int) -> None:
    made = await ordered(house)
    fields = {"description": "x", "redirect_url": "nowhere", "metadata": [1]}

    refused = await house.merchant("PATCH", f"/{family}/{made['trx_id']}", fields)

    assert refused.status == status
    assert set(refused.json().get("field_errors") or refused.json()["errors"]) == {"redirect_url", "metadata"}
    assert (await house.merchant("GET", f"/payments/{made['trx_id']}")).json()["data"]["description"] is None


@pytest.mark.parametrize("family", ["payments", "payment-intents"])
async def test_a_cancelled_payment_is_neither_changed_nor_cancelled_again(house: House, family: str) -> None:
    made = await ordered(house)
    address = f"/{family}/{made['payment_id']}"

    cancelled = await house.merchant("POST", f"{address}/cancel")

    assert (cancelled.status, cancelled.json()["data"]["status"]) == (200, "cancelled")
    for again in (
        await house.merchant("POST", f"{address}/cancel"),
        await house.merchant("PATCH", address, {"description": "late"}),
    ):
        assert (again.status, again.json()["code"]) == (409, "INVALID_STATE")


async def test_what_is_paid_or_past_its_time_is_not_cancelled(house: House) -> None:
    one, other = await ordered(house), await ordered(house, expires_in=60)
    await paid(house, one["token"])
    house.clock.advance(60_000_000)

    for payment in (one, other):
        refused = await house.merchant("POST", f"/payments/{payment['payment_id']}/cancel")
        assert (refused.status, refused.json()["code"]) == (409, "INVALID_STATE")


async def test_a_payment_under_review_is_not_cancelled(house: House) -> None:
    made = await ordered(house, amount="10.06")
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, made["token"], "sandbox")
    await flow.submit(tools, made["token"], {"outcome": "pay"})

    refused = await house.merchant("POST", f"/payments/{made['payment_id']}/cancel")

    assert (refused.status, refused.json()["code"]) == (409, "INVALID_STATE")


async def test_a_cancellation_under_a_key_is_answered_once_and_for_all(house: House) -> None:
    made, keyed = await ordered(house), {"idempotency-key": "cancel-1"}

    first = await house.merchant("POST", f"/payments/{made['trx_id']}/cancel", headers=keyed)
    again = await house.merchant("POST", f"/payments/{made['trx_id']}/cancel", headers=keyed)

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"


async def test_another_merchants_payment_is_not_found(house: House) -> None:
    made = await ordered(house)
    other = {"key": house.other.key}

    for method, address in (("PATCH", ""), ("POST", "/cancel")):
        for family in ("payments", "payment-intents"):
            refused = await house.merchant(method, f"/{family}/{made['trx_id']}{address}", {}, **other)
            assert (refused.status, refused.json()["code"]) == (404, "PAYMENT_NOT_FOUND")


async def test_payments_are_listed_in_both_families(house: House) -> None:
    first = await ordered(house)
    second = (await house.merchant("POST", "/payment-intents", INTENT)).json()["data"]

    for family in ("payments", "payment-intents"):
        listed = (await house.merchant("GET", f"/{family}?per_page=1")).json()
        assert [payment["payment_id"] for payment in listed["data"]] == [second["payment_id"]]
        rest = (await house.merchant("GET", f"/{family}?cursor={listed['meta']['next_cursor']}")).json()
        assert [payment["payment_id"] for payment in rest["data"]] == [first["payment_id"]]
        assert rest["meta"]["total"] == 2
    wrong = [await house.merchant("GET", f"/{family}?from=soon") for family in ("payments", "payment-intents")]
    assert [answer.status for answer in wrong] == [422, 400]


async def test_disputes_are_read(house: House) -> None:
    made = await ordered(house)
    await paid(house, made["token"])
    owner, tools = house.shop.merchant.owner, house.dependencies.tools
    dispute = await house.db.write(
        lambda tx: disputes.open_dispute(
            tx, 1, owner=owner, reason="fraudulent", ids=tools.ids, keyring=tools.keyring, now=tools.clock.now()
        )
    )

    shown = (await house.merchant("GET", f"/disputes/{dispute.uuid}")).json()["data"]
    listed = (await house.merchant("GET", "/disputes?status=open,under_review")).json()

    assert (shown["trx_id"], shown["status"], shown["amount"]) == (made["trx_id"], "open", "99.90")
    assert listed["data"] == [shown]
    assert (await house.merchant("GET", "/disputes?status=won")).json()["data"] == []
    transaction = (await house.merchant("GET", "/transactions?status=disputed")).json()["data"][0]
    assert (transaction["disputed"], transaction["dispute_status"]) == (True, "open")
    assert transaction["status"] == "completed"
    for missing in (dispute.uuid[:-1] + "0", "none"):
        refused = await house.merchant("GET", f"/disputes/{missing}")
        assert (refused.status, refused.json()["code"]) == (404, "DISPUTE_NOT_FOUND")
    stranger = await house.merchant("GET", f"/disputes/{dispute.uuid}", key=house.other.key)
    assert stranger.status == 404
