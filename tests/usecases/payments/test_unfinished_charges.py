"""A charge nobody finished creating ends as quietly as it began, and its payment with it."""

from pathlib import Path

import pytest

from opentill.db import Database
from opentill.kernel.clock import MINUTE
from opentill.kernel.errors import Busy
from opentill.kernel.money import currency, parse
from opentill.payments import flow
from opentill.payments.model import Order
from opentill.payments.pix import flow as pix_flow
from opentill.pix.port import Denied
from tests.usecases.checkout.shop import Shop, open_shop


async def test_a_payment_nobody_heard_of_is_not_announced_as_expired(database: Database, tmp_path: Path) -> None:
    shop = await open_shop(database, tmp_path)
    await begin_a_charge(shop, lifetime_s=60)

    shop.clock.advance(5 * MINUTE)
    await flow.expire_due(shop.deps.tools)
    shop.clock.advance(6 * MINUTE)
    await pix_flow.look_at_due(shop.deps.tools)

    assert await states(shop) == [("failed", "rejected")]
    assert await shop.db.read(lambda tx: tx.all("select type from event")) == []


async def test_one_that_ended_otherwise_does_not_keep_its_charge_from_being_given_up(
    database: Database, tmp_path: Path
) -> None:
    shop = await open_shop(database, tmp_path)
    await begin_a_charge(shop, lifetime_s=60)
    await shop.db.write(lambda tx: tx.run("update payment set status = 'expired', detail = 'expired'"))

    shop.clock.advance(11 * MINUTE)
    await pix_flow.look_at_due(shop.deps.tools)

    assert await states(shop) == [("expired", "rejected")]


async def begin_a_charge(shop: Shop, *, lifetime_s: int) -> None:
    """Ask for a charge at a bank that does not let us in."""
    shop.bank.failures = [Denied("the certificate has expired")]
    order = Order(parse("9.90", currency("BRL")), gateway="pix", gateway_fixed=True, expires_in_s=lifetime_s)
    with pytest.raises(Busy):
        await pix_flow.cash_in(
            shop.deps.tools, order, merchant=shop.merchant, description="Pedido", expires_in_s=lifetime_s
        )


async def states(shop: Shop) -> list[tuple[str, str]]:
    rows = await shop.db.read(
        lambda tx: tx.all("select p.status, c.state from payment p join pix_charge c on c.payment_id = p.id")
    )
    return [(row["status"], row["state"]) for row in rows]
