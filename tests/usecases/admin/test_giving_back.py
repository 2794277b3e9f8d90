"""Money that completed no payment goes back to its payer from the panel: from the queue, and from its payment."""

import json
from pathlib import Path

from opentill.db import Database, Tx
from opentill.payments import service, store
from opentill.payments.model import Receipt
from tests.usecases.admin.house import House, open_house, pays

HELD, HELD_UNITS = "2", 199_900  # of the payment that was paid short


async def audit(house: House, action: str) -> list[dict[str, object]]:
    rows = await house.shop.db.read(
        lambda tx: tx.all("select detail from audit_entry where action = :action order by id", action=action)
    )
    return [json.loads(row["detail"]) for row in rows]


async def refunds(house: House) -> list[tuple[str, int]]:
    rows = await house.shop.db.read(
        lambda tx: tx.all("select status, charge_units from refund where receipt_id = :id", id=int(HELD))
    )
    return [(row["status"], row["charge_units"]) for row in rows]


async def test_held_money_goes_back_once_from_the_queue(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/reviews")
    assert "Return it to the payer" not in browser.text  # nobody has taken it
    await browser.presses("Take it")
    form = next(form for form in browser.forms if form.action.endswith(f"/receipts/{HELD}/return"))
    name, value, _ = form.buttons[0]
    fields = form.fields | {name: value}

    await browser.sends(form.action, fields)
    assert "The money goes back to its payer." in browser.text
    await browser.sends(form.action, fields)  # the same form once more

    assert await refunds(house) == [("completed", HELD_UNITS)]
    [entry] = await audit(house, "receipt.returned")
    assert entry["before"] == {"state": "held", "units": HELD_UNITS, "returned_units": 0}
    assert (await audit(house, "review.returned")) != []
    await browser.opens(f"{house.home}/refunds")
    assert "$19.99" in browser.text
    assert "Another amount arrived than was asked for" in browser.text


async def test_why_money_went_back_is_told_in_the_language_of_who_reads_and_as_somebody_wrote_it(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/reviews")
    await browser.presses("Take it")
    await browser.presses("Return it to the payer")
    await browser.opens(f"{house.home}/payments/{house.names['payment']}/refunds")
    await browser.presses("Give it back", amount="1.00", reason="expired")  # which the catalogue has as well

    reader = await house.browser(**{"accept-language": "pt-BR"})
    for place in (f"{house.home}/refunds", "/admin/audit"):
        await reader.opens(place)
        assert "Chegou um valor diferente do pedido" in reader.text
        assert "expired" in reader.text
        assert "amount differs" not in reader.text


async def test_rejected_money_goes_back_from_its_payment(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/reviews")
    reference = browser.links("txn_")[0]
    await browser.presses("Take it")
    await browser.presses("Reject, let them try again", because="wrong_amount")
    assert await refunds(house) == []

    await browser.opens(reference)
    await browser.presses("Return it to the payer")
    assert "The money goes back to its payer." in browser.text

    assert await refunds(house) == [("completed", HELD_UNITS)]
    await browser.opens(reference)
    assert "Return it to the payer" not in browser.text


async def test_a_payment_that_claims_counted_money_is_rejected_in_the_queue(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    paid, claims = await pays(house.shop, order_id="paid"), await house.shop.orders(order_id="claims")

    def claim(tx: Tx) -> None:
        payment = store.lock(tx, claims.id, owner=claims.owner, keyring=house.shop.scene.keyring)
        assert payment is not None
        assert paid.gateway_ref is not None
        named = Receipt(claims.owner, "sandbox", "", paid.gateway_ref, paid.amount, house.shop.clock.now())
        service.claimed(tx, payment, named, now=house.shop.clock.now())

    await database.write(claim)
    browser = await house.browser()
    await browser.opens(f"{house.home}/reviews")
    take = [form for form in browser.forms if form.action.endswith("/claim")][-1]
    await browser.sends(take.action, take.fields)
    assert "Approve" not in browser.text

    await browser.presses("Reject for good", because="already_used", reason="the other order")

    assert (await audit(house, "review.rejected")) == [{"final": True}]
    await browser.opens(f"{house.home}/payments/{claims.reference}")
    assert "It failed and is over." in browser.text


async def test_only_who_may_give_money_back_is_offered_it(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await house.joins("bia@loja.example", "support")
    browser = await house.browser("bia@loja.example")
    await browser.opens(f"{house.home}/reviews")
    assert "Return it to the payer" not in browser.text
    answer = await browser.sends(f"{house.home}/receipts/{HELD}/return", {})
    assert answer.status_code == 403
    assert await refunds(house) == []


async def test_a_payment_shows_what_of_it_was_given_back_and_how_that_was_booked(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    place = f"{house.home}/payments/{house.names['payment']}"
    await browser.opens(f"{place}/refunds")
    await browser.presses("Give it back", amount="1.25", reason="broken")

    await browser.opens(place)
    assert "R$1.25" in browser.text
    assert "broken" in browser.text
    [uuid] = [row["uuid"] for row in await database.read(lambda tx: tx.all("select uuid from refund"))]
    journals = await database.read(lambda tx: tx.all("select id from journal where source_id = :uuid", uuid=uuid))
    assert journals
    for journal in journals:
        assert f'/ledger/journals/{journal["id"]}"' in browser.page.text
