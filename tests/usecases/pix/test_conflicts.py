"""Another amount than was asked for: accepted or given back, and what becomes of the charge (pix-api.md §16.2)."""

from typing import Any

import pytest

from opentill.kernel.clock import HOUR, SECOND
from opentill.kernel.errors import Conflict
from opentill.kernel.money import Money
from opentill.payments.model import PaymentStatus
from opentill.payments.pix import queries
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.review import decisions
from opentill.payments.review.decisions import Actor
from opentill.pix.model import BRL, Charge, State
from tests.usecases.pix.shop import Shop
from tests.usecases.pix.test_contests import contested

pytestmark = pytest.mark.anyio
CHIEF = Actor("chief@example.com", "203.0.113.9", may_override=True)


async def paid_short(shop: Shop, charge: Charge, centavos: int = 2_999) -> None:
    await shop.payer_pays(charge, amount=centavos, any_amount=True)
    await shop.is_told()


async def decides(shop: Shop, deed: Any, **more: Any) -> None:
    """Claim the newest item and decide it."""
    item = (await shop.rows("select id from review_item where resolved_at is null order by id desc"))[0]["id"]
    owner, ids, keyring, now = shop.merchant.owner, shop.scene.ids, shop.scene.keyring, shop.clock.now()
    await shop.db.write(lambda tx: decisions.claim(tx, item, owner=owner, by=CHIEF, keyring=keyring, now=now))
    await shop.db.write(lambda tx: deed(tx, item, owner=owner, by=CHIEF, ids=ids, keyring=keyring, now=now, **more))


async def gives_back(shop: Shop) -> None:
    """Give the newest held money back, until the bank has done it."""
    receipt = (await shop.rows("select id from receipt where state = 'held' order by id desc"))[0]["id"]
    await refund_flow.return_receipt(shop.tools, receipt, "wrong amount", owner=shop.merchant.owner)
    for _ in range(3):
        await shop.asks_about_refunds(after_us=31 * SECOND)


async def listed(shop: Shop) -> list[tuple[str, int]]:
    """Return status and centavos of the transactions."""
    owner = shop.merchant.owner
    found = await shop.db.read(lambda tx: queries.page(tx, queries.Filters(), owner=owner, offset=0, limit=50))
    return [(row["status"], row["units"] // 100) for row in found if row["direction"] == "inbound"]


async def test_c7_an_amount_that_was_accepted_completes_the_charge_and_is_said(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await paid_short(shop, charge)
    assert await listed(shop) == [("pending", 2_999)]

    await decides(shop, decisions.approve, seen=Money(299_900, BRL), reason="a centavo")

    assert await shop.state(charge) is State.COMPLETED
    assert (await shop.events())[-1] == "payment.completed pix.charge.paid"
    said = (await shop.documents())[-1]
    assert (said["receipt"]["amount_units"], said["receipt"]["transaction_id"]) == (299_900, charge.id)
    assert said["charge"]["id"] == charge.id
    assert await listed(shop) == [("completed", 2_999)]
    assert await shop.books() == {"bank": -2_999, "available": 2_999}


@pytest.mark.parametrize(("waits_us", "state"), [(0, State.ACTIVE), (2 * HOUR, State.EXPIRED)])
async def test_c8_an_amount_that_went_back_frees_the_charge(shop: Shop, waits_us: int, state: State) -> None:
    charge = await shop.charges("30.00")
    await paid_short(shop, charge)
    shop.passes(waits_us)

    await gives_back(shop)

    assert await shop.state(charge) is state
    assert await shop.books() == {}
    assert (await shop.events())[-1] == "refund.completed pix.refund.completed"


async def test_held_money_that_is_contested_goes_back_only_as_its_bank_decides(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await paid_short(shop, charge)
    await contested(shop, 2_999)

    with pytest.raises(Conflict, match="contested"):
        await gives_back(shop)

    assert await shop.rows("select id from refund") == []


async def test_after_a_rejection_the_payer_gets_another_code(shop: Shop) -> None:
    payment = await shop.orders("30.00")
    charge = await shop.chooses_pix(payment)
    await paid_short(shop, charge)
    await decides(shop, decisions.reject, final=False, reason="wrong_amount")

    another = await shop.chooses_pix(payment)
    assert another.id != charge.id
    await gives_back(shop)
    assert await shop.state(charge) is State.EXPIRED
    await shop.payer_pays(another)
    await shop.is_told()

    assert (await shop.reads(payment)).status is PaymentStatus.COMPLETED
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_charge_paid_more_than_once_is_one_transaction(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await paid_short(shop, charge)
    await shop.payer_pays(charge, amount=1_000, any_amount=True, force=True)
    await shop.is_told()
    await shop.payer_pays(charge, force=True)
    await shop.is_told()

    assert await shop.state(charge) is State.COMPLETED
    assert await listed(shop) == [("completed", 3_000)]
    assert await shop.books() == {"bank": -6_999, "held": 3_999, "available": 3_000}
