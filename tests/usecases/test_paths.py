"""Merchant reference, metadata and customer through every path that makes or completes a payment (bar C15)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from opentill.checkout import rules as checkout
from opentill.checkout.model import Stage
from opentill.db import Database, ReadTx
from opentill.events import Audience, document_of
from opentill.kernel.clock import HOUR
from opentill.kernel.money import parse
from opentill.kernel.owner import Owner
from opentill.merchants import gateways
from opentill.payments import flow, queries
from opentill.payments.model import Payment
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.review import decisions, submissions
from opentill.payments.review.decisions import Actor
from opentill.webhooks.bodies import merchant as bodies
from opentill.webhooks.model import AmountFormat, RecordedEvent
from tests.contract.api.house import INTENT, PAYMENT, House, open_house

ANA: Final = Actor("ana@example.com", "203.0.113.7", may_override=True)
METADATA: Final = {"cart": [1, {"lamp": "Zoë রহিম"}], "note": 'a/b "c"'}
WHO: Final = {"name": "Zoë Rahmán", "email": "zoe@example.com", "phone": "+5511999990000"}
BACK: Final = "https://shop.example/return?key=1"
Path_ = Callable[[House, str], Awaitable[None]]


async def by_client(house: House) -> str:
    fields = {
        **PAYMENT,
        "amount": "99.99",
        "metadata": METADATA,
        "redirect_url": BACK,
        "customer_name": WHO["name"],
        "customer_mail": WHO["email"],
        "customer_phone": WHO["phone"],
    }
    made = await house.merchant("POST", "/payments", fields)
    token: str = made.json()["data"]["token"]
    return token


async def by_seed(house: House) -> str:
    fields = {
        **INTENT,
        "order_id": "ORD-1",
        "currency": "BRL",
        "metadata": METADATA,
        "return_url": BACK,
        "customer_name": WHO["name"],
        "customer_email": WHO["email"],
        "customer_phone": WHO["phone"],
    }
    made = await house.merchant("POST", "/payment-intents", fields)
    token: str = made.json()["data"]["token"]
    return token


async def at_once(house: House, token: str) -> None:
    await pressed(house, token, "paid")


async def after_a_lost_answer(house: House, token: str) -> None:
    await pressed(house, token, "answer_lost")
    house.clock.advance(6_000_000)
    await flow.check_due_sessions(house.dependencies.tools)


async def after_a_decline(house: House, token: str) -> None:
    await pressed(house, token, "declined")
    await pressed(house, token, "paid")


async def told_thrice(house: House, token: str) -> None:
    await pressed(house, token, "repeated")


async def late(house: House, token: str) -> None:
    await pressed(house, token, "paid_late")
    house.clock.advance(HOUR)
    await flow.expire_due(house.dependencies.tools)
    await flow.check_due_sessions(house.dependencies.tools)


async def of_another_amount(house: House, token: str) -> None:
    await pressed(house, token, "short")
    await decided(house, "99.98")


async def by_hand(house: House, token: str) -> None:
    payment = await read(house, token)
    if payment.gateway_fixed:
        await marked(house, token)
        return
    now, tools, owner = house.clock.now(), house.dependencies.tools, payment.owner
    settings = {"require_provider_trx": False}
    await house.db.write(
        lambda tx: gateways.save_manual(tx, "wallet", name="Wallet", settings=settings, owner=owner, now=now)
    )
    await flow.choose_gateway(tools, token, "wallet")
    await house.db.write(
        lambda tx: submissions.submit(
            tx, payment.id, {"sender": "me"}, [], owner=owner, ids=tools.ids, keyring=tools.keyring, now=now
        )
    )
    await decided(house, "99.99")


async def marked(house: House, token: str) -> None:
    payment, tools = await read(house, token), house.dependencies.tools
    await house.db.write(
        lambda tx: decisions.mark_paid(
            tx,
            payment.id,
            owner=payment.owner,
            by=ANA,
            seen=payment.amount,
            ref="CASH-1",
            reason="in cash",
            ids=tools.ids,
            keyring=tools.keyring,
            now=house.clock.now(),
        )
    )


ORIGINS: Final = {"client": by_client, "seed": by_seed}
ENDS: Final[Mapping[str, Path_]] = {
    "at once": at_once,
    "after a lost answer": after_a_lost_answer,
    "after a decline": after_a_decline,
    "told thrice": told_thrice,
    "late": late,
    "of another amount": of_another_amount,
    "by hand": by_hand,
    "marked as paid": marked,
}


@pytest.mark.bar("C15")
@pytest.mark.parametrize("origin", list(ORIGINS))
@pytest.mark.parametrize("end", list(ENDS))
async def test_nothing_gets_lost_on_the_way(database: Database, tmp_path: Path, origin: str, end: str) -> None:
    house = await open_house(database, tmp_path)
    token = await ORIGINS[origin](house)

    await ENDS[end](house, token)
    await refund(house, token)

    await require_all_of_it(house, token)
    await house.close()


@pytest.mark.bar("C15")
async def test_an_external_id_stays_with_its_charge_and_payment(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    made = (await house.pix("POST", "/pix/cash-in", {"amount": 9_999, "external_id": "ORD-1"})).json()

    assert made["external_id"] == "ORD-1"
    payment = (await house.merchant("GET", "/payments?reference=ORD-1")).json()["data"][0]
    assert (payment["reference"], payment["order_id"], payment["amount"]) == ("ORD-1", "ORD-1", "99.99")
    for document in await documents(house):
        assert document["payment"]["order_id"] == "ORD-1"
        assert document["charge"]["external_id"] == "ORD-1"
    await house.close()


async def require_all_of_it(house: House, token: str) -> None:
    """Look everywhere a merchant looks."""
    payment = await read(house, token)
    shown = (await house.merchant("GET", f"/payments/{payment.uuid}")).json()["data"]
    assert shown["status"] == "completed"
    listed = (await house.merchant("GET", "/payments?reference=ORD-1")).json()["data"]
    assert listed == [shown]
    transaction = (await house.merchant("GET", f"/transactions/{payment.reference}")).json()["data"]
    intent = (await house.merchant("GET", f"/payment-intents/{payment.reference}")).json()["data"]
    for object_ in (shown, transaction, intent):
        assert (object_["reference"], object_["order_id"], object_["amount"]) == ("ORD-1", "ORD-1", "99.99")
        assert object_["metadata"] == METADATA
        assert object_["customer"] == WHO
    refunded = (await house.merchant("GET", f"/refunds?payment_id={payment.uuid}")).json()["data"]
    assert [one["trx_id"] for one in refunded] == [payment.reference]

    told = await events(house)
    assert {"payment.pending", "payment.completed", "refund.created", "refund.completed"} <= {e.type for e in told}
    for event in told:
        if event.type == "customer.created":
            continue
        body = json.loads(bodies.render(event, AmountFormat.STRING))
        for part in (body, body["data"]):
            assert (part["order_id"], part["reference"], part["amount"]) == ("ORD-1", "ORD-1", "99.99"), event.type
            assert part["metadata"] == METADATA
            assert part["customer"] == WHO

    back = checkout.way_back(payment, Stage.COMPLETED)
    assert back is not None
    assert back.startswith(f"{BACK}&")
    assert f"payment_id={payment.uuid}" in back
    assert "order_id=ORD-1" in back
    sources = await house.db.read(
        lambda tx: tx.all("select source_id from journal where source_type = 'payment' and kind = 'payment.completed'")
    )
    assert [row["source_id"] for row in sources] == [payment.uuid]


async def pressed(house: House, token: str, button: str) -> None:
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, token, "sandbox")
    await flow.submit(tools, token, {"outcome": button})


async def decided(house: House, seen: str) -> None:
    """Approve what waits, whatever its amount."""
    owner, tools, now = house.shop.merchant.owner, house.dependencies.tools, house.clock.now()
    number = (await house.db.read(lambda tx: tx.all("select id from review_item")))[0]["id"]
    await house.db.write(lambda tx: decisions.claim(tx, number, owner=owner, by=ANA, keyring=tools.keyring, now=now))
    amount = parse(seen, (await first(house)).amount.currency)
    await house.db.write(
        lambda tx: decisions.approve(
            tx, number, owner=owner, by=ANA, seen=amount, reason="fine", ids=tools.ids, keyring=tools.keyring, now=now
        )
    )


async def refund(house: House, token: str) -> None:
    payment, tools = await read(house, token), house.dependencies.tools
    await refund_flow.give_back(tools, payment.id, refund_flow.Wish(tools.ids.uuid7(), 100), owner=payment.owner)
    waiting = await house.db.read(lambda tx: tx.all("select id from review_item where kind = 'refund'"))
    for row in waiting:
        await send_by_hand(house, row["id"])


async def send_by_hand(house: House, item_id: int) -> None:
    owner, tools, now = house.shop.merchant.owner, house.dependencies.tools, house.clock.now()
    await house.db.write(lambda tx: decisions.claim(tx, item_id, owner=owner, by=ANA, keyring=tools.keyring, now=now))
    await house.db.write(
        lambda tx: decisions.decide_refund(
            tx, item_id, owner=owner, by=ANA, sent=True, ids=tools.ids, keyring=tools.keyring, now=now
        )
    )


async def read(house: House, token: str) -> Payment:
    found = await house.db.read(lambda tx: queries.by_token(tx, token, keyring=house.dependencies.keyring))
    assert found is not None
    return found


async def first(house: House) -> Payment:
    owner, keyring = house.shop.merchant.owner, house.dependencies.keyring
    found = await house.db.read(lambda tx: queries.by_id(tx, 1, owner=owner, keyring=keyring))
    assert found is not None
    return found


async def documents(house: House) -> list[dict[str, Any]]:
    rows = await house.db.read(lambda tx: tx.all("select doc from event where type <> 'customer.created'"))
    return [document_of(bytes(row["doc"])) for row in rows]


async def events(house: House) -> list[RecordedEvent]:
    return await recorded(house.db, house.shop.merchant.owner)


async def recorded(database: Database, owner: Owner) -> list[RecordedEvent]:
    """Return every event, as the webhook engine sees them."""

    def load(tx: ReadTx) -> list[RecordedEvent]:
        return [
            RecordedEvent(
                seq=row["seq"],
                id=row["id"],
                owner=owner,
                audience=Audience(row["audience"]),
                type=row["type"],
                merchant_type=row["merchant_type"],
                pix_type=row["pix_type"],
                object_type=row["object_type"],
                object_id=row["object_id"],
                occurred_at=row["occurred_at"],
                document=document_of(bytes(row["doc"])),
            )
            for row in tx.all("select * from event order by seq")
        ]

    return await database.read(load)
