"""POST /pix/cash-in under an idempotency key, while processes die and the bank is slow (bars.md §8 I10–I18)."""

import json

import pytest

from opentill.api.external.app import ExternalApi
from opentill.kernel.clock import MINUTE
from tests.contract.api.client import Response, ask
from tests.contract.api.house import signature
from tests.usecases.pix.shop import Died, Shop, die


class Caller:
    """A merchant's server that repeats one request under one key."""

    def __init__(self, shop: Shop, client_id: str, secret: str) -> None:
        self._shop, self._client_id, self._secret = shop, client_id, secret

    async def asks(self, centavos: int = 3_000) -> Response:
        body = json.dumps({"amount": centavos, "external_id": "order-9876"}).encode()
        headers = {
            "authorization": f"ApiKey {self._client_id}:{self._secret}",
            "content-type": "application/json",
            "hmac": signature(self._secret, body),
            "idempotency-key": "one",
        }
        api = ExternalApi(self._shop.deps)
        try:
            return await ask(api, "POST", "/pix/cash-in", headers=headers, body=body)
        finally:
            await api.settled()


@pytest.fixture
async def caller(shop: Shop) -> Caller:
    client_id, secret = await shop.db.write(lambda tx: shop.scene.credential(tx, shop.merchant))
    return Caller(shop, client_id, secret.reveal())


async def test_a_repeat_gets_the_same_answer_and_makes_nothing(shop: Shop, caller: Caller) -> None:
    first, again = await caller.asks(), await caller.asks()

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert len(await shop.rows("select id from pix_charge")) == 1


async def test_a_repeat_after_a_death_waits_a_minute_and_goes_on_with_the_same_charge(
    shop: Shop, caller: Caller
) -> None:
    shop.after["create_charge"] = die
    with pytest.raises(Died):
        await caller.asks()
    await shop.starts_again()

    assert (await caller.asks()).status == 409
    shop.passes(MINUTE)
    answer = await caller.asks()

    assert answer.status == 200
    [charge] = await shop.rows("select id from pix_charge")
    assert answer.json()["transaction_id"] == charge["id"]
    assert answer.json()["qr_code"]


async def test_after_its_charge_was_given_up_a_key_makes_another_and_answers_with_that_one(
    shop: Shop, caller: Caller
) -> None:
    shop.after["create_charge"] = die
    with pytest.raises(Died):
        await caller.asks()
    await shop.starts_again()
    shop.passes(11 * MINUTE)
    await shop.looks()

    told = await caller.asks()
    assert (told.status, told.json()["detail"]) == (503, "Provider unavailable, try again")
    made, again = await caller.asks(), await caller.asks()

    assert (made.status, again.body) == (200, made.body)
    assert made.json()["status"] == "active"
    states = [row["state"] for row in await shop.rows("select state from pix_charge order by created_at")]
    assert states == ["rejected", "active"]


async def test_a_refused_charge_frees_its_key_for_another(shop: Shop, caller: Caller) -> None:
    refused = await caller.asks(10_009)
    assert (refused.status, refused.json()["detail"]) == (422, "The provider refused the charge")

    assert (await caller.asks(3_000)).status == 200
