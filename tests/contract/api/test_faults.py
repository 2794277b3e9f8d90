"""What callers hear when something on our side breaks: a status, a request id, nothing else."""

from dataclasses import replace

import pytest

from opentill.kernel.ids import SeededIds
from tests.contract.api.house import CASH_IN, PAYMENT, House

pytestmark = pytest.mark.anyio


class ForgetfulIds(SeededIds):
    """Cannot name a payment."""

    def uuid7(self) -> str:
        raise ZeroDivisionError("a bug, for once")


async def test_a_bug_in_the_merchant_api_is_a_500_that_says_nothing(house: House) -> None:
    await house.merchant("POST", "/payments", PAYMENT)
    await house.run("update payment set currency = 'ZZZ'")
    house.merchant_api.dependencies = replace(house.dependencies, ids=ForgetfulIds(1, house.clock))

    created = await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "k-1"})
    listed = await house.merchant("GET", "/transactions")

    assert (created.status, created.json()["code"]) == (500, "PAYMENT_PROCESSING_FAILED")
    assert (listed.status, listed.json()["code"]) == (500, "INTERNAL_ERROR")
    assert (await house.rows())["idempotency"] == 0
    for answer in (created, listed):
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert "x-ratelimit-remaining" in answer.headers
        assert b"ZZZ" not in answer.body
        assert b"bug" not in answer.body


async def test_a_bug_in_the_pix_api_is_a_500_that_says_nothing(house: House) -> None:
    house.bank.failures = [ZeroDivisionError("a bug, for once")]

    answer = await house.pix("POST", "/pix/cash-in", CASH_IN)

    assert (answer.status, answer.json()) == (500, {"error": {"status": 500, "message": "Internal error"}})
    assert "x-request-id" in answer.headers


async def test_a_database_that_is_away_is_a_503_with_a_hint(house: House) -> None:
    await house.merchant("GET", "/transactions")
    await house.pix("GET", "/webhooks")
    await house.merchant_api.settled()
    await house.db.close()

    known = await house.merchant("GET", "/transactions")
    health = await house.merchant("GET", "/health")
    house.next_second()
    unknown = await house.merchant("POST", "/payment-intents", PAYMENT)
    pix = await house.pix("GET", "/webhooks")

    for answer in (known, unknown, health):
        assert (answer.status, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == str(answer.json()["retry_after"])
        assert "x-ratelimit-remaining" in answer.headers
    assert health.json()["data"] == {"status": "degraded", "db": "error"}
    assert (pix.status, pix.json()) == (503, {"error": {"status": 503, "message": "Service unavailable"}})
    assert pix.headers["retry-after"] == "1"
