"""PIX moves reais. A payment in another currency must never become a charge of as many centavos."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.errors import Conflict, Invalid
from opentill.kernel.money import currency, parse
from opentill.payments import flow, service
from opentill.payments.model import Order
from tests.usecases.checkout.shop import open_shop


async def test_a_payment_in_dollars_gets_no_pix_code(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    payment = await shop.orders("20.00", "USD")

    with pytest.raises(Conflict):
        await flow.choose_gateway(shop.deps.tools, payment.token, "pix")

    assert shop.bank.charges == {}
    assert await shop.reads(payment) == payment


async def test_a_payment_by_pix_in_dollars_is_refused_when_it_is_asked_for(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    order = Order(parse("20.00", currency("USD")), gateway="pix", gateway_fixed=True)
    scene, now = shop.scene, shop.clock.now()

    with pytest.raises(Invalid) as refused:
        await database.write(
            lambda tx: service.create(tx, order, merchant=shop.merchant, ids=scene.ids, keyring=scene.keyring, now=now)
        )

    assert [fault.field for fault in refused.value.faults] == ["gateway"]
