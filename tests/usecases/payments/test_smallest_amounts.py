"""What is left of the smallest amount when something is taken from it."""

from opentill.db import Database
from opentill.gateways.port import PaidVerdict
from opentill.kernel.money import Money
from opentill.payments import flow, service
from opentill.payments.model import PaymentStatus
from tests.usecases.payments.shop import open_shop


async def test_less_than_the_smallest_amount_is_declined_in_the_sandbox(database: Database) -> None:
    shop = await open_shop(database)

    declined = await shop.pays(await shop.orders("0.01"), "short")

    assert declined.status is PaymentStatus.PENDING
    assert await shop.balances() == {}


async def test_a_gateway_that_says_nothing_was_paid_is_asked_again(database: Database) -> None:
    shop = await open_shop(database)
    payment, session, _ = await flow.choose_gateway(shop.tools, (await shop.orders("10.00")).token, "sandbox")
    tools = shop.tools

    verdict = PaidVerdict("ref", Money(0, payment.amount.currency))
    after = await database.write(
        lambda tx: service.conclude(tx, session, verdict, ids=tools.ids, keyring=tools.keyring, now=tools.clock.now())
    )

    assert after.status is PaymentStatus.PROCESSING
    assert await shop.balances() == {}
