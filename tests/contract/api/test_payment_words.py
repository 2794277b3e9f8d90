"""Whatever state a payment is in, the merchant API says it in one of six words."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.payments import transitions
from opentill.settings import Settings
from tests.contract.api.house import PUBLIC_URL, House
from tests.contract.test_states import fresh_shop, payment_in

pytestmark = pytest.mark.anyio

WORDS = {
    "pending": "pending",
    "processing": "processing",
    "awaiting_verification": "processing",
    "pending_review": "processing",
    "completed": "completed",
    "refunded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}


@pytest.mark.checklist("M25")
async def test_a_payment_is_read_with_one_of_six_words_in_every_state(database: Database, tmp_path: Path) -> None:
    assert set(WORDS) == set(transitions.states(transitions.TRANSACTION))
    for state, word in WORDS.items():
        shop = await fresh_shop(database)
        payment = await payment_in(shop, state, by_hand=False)
        key = await database.write(lambda tx, shop=shop: shop.scene.api_key(tx, shop.merchant))
        house = House(database, shop.scene, Settings(data=tmp_path, public_url=PUBLIC_URL).completed())

        read = (await house.merchant("GET", f"/payments/{payment.uuid}", key=key.reveal())).json()["data"]

        assert read["status"] == word, state
        await house.close()
