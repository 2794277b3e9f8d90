"""For people who integrate: samples, and test payments of the sandbox."""

from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.reading import needed_amount
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import NotFound
from opentill.kernel.mode import Mode
from opentill.kernel.money import currency
from opentill.merchants import service
from opentill.payments import service as payments
from opentill.payments.model import Contact, Order, Payment


async def samples(visit: Visit) -> Response:
    """Show the first requests in four languages, with this installation's address."""
    return visit.render("admin/developers/samples.html", {"address": visit.deps.settings.public_url})


async def make_test_payment(visit: Visit) -> Response:
    """Create a payment of the sandbox, as a shop would."""
    if visit.owner.mode is not Mode.SANDBOX:
        raise NotFound("NOT_A_SANDBOX", "Only a sandbox merchant has test payments.")
    amount = needed_amount(visit, "amount", currency("BRL"))

    def made(tx: Tx, log: Journalist) -> Payment:
        order = Order(
            amount,
            order_id="TEST-" + visit.deps.ids.hex(6),
            description="Test payment",
            contact=Contact("Ana Souza", "ana@example.com"),
        )
        merchant = service.merchant_of(tx, visit.owner)
        deps = visit.deps
        payment = payments.create(tx, order, merchant=merchant, ids=deps.ids, keyring=deps.keyring, now=visit.now)
        log("sandbox.payment_created", f"payment:{payment.reference}")
        return payment

    payment = await visit.write(made)
    return visit.go(f"{visit.home}/payments/{payment.reference}")


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/developers/samples", samples, "developers.view"),
    Screen("POST", "/m/{merchant}/developers/test-payments", make_test_payment, "developers.manage"),
)
