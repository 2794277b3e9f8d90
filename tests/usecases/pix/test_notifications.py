"""A notification is a hint: it may be forged, repeated, late, early or lost, and money is booked once all the same."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from opentill.callbacks.pix import PixCallbacks
from opentill.kernel.clock import MINUTE, SECOND
from opentill.kernel.errors import Refused
from opentill.payments.pix import flow as pix_flow
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import State
from tests.usecases.pix.shop import Shop

CREATED = "payment.pending pix.charge.created"
PAID = "payment.completed pix.charge.paid"


@pytest.mark.checklist("L11")
async def test_a_notification_alone_books_nothing(shop: Shop) -> None:
    charge = await shop.charges()
    invented = {"endToEndId": "E99999002202603071530abcdef12345", "txid": provider_txid(charge.id), "valor": "30.00"}

    assert await shop.hears(invented) == 200
    await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.state(charge) is State.PAYING
    assert await shop.books() == {}
    for _ in range(5):
        shop.passes(11 * MINUTE)
        await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.state(charge) is State.ACTIVE


@pytest.mark.checklist("L11")
async def test_a_notification_to_a_wrong_address_is_refused_and_not_kept(shop: Shop) -> None:
    url, _ = await shop.hook()
    token = url.rpartition("/")[2]

    for wrong in (url.replace(token, "0" * 64), url.replace(f"/{shop.account_id}/", f"/{shop.account_id + 1}/")):
        assert await shop.tell(wrong, b'{"pix": []}') == 401
    assert await shop.rows("select id from provider_callback") == []


async def test_what_was_announced_and_booked_for_another_charge_leaves_this_one_as_it_was(shop: Shop) -> None:
    paid, other = await shop.charges(), await shop.charges()
    (arrived,) = await shop.payer_pays(paid)
    await shop.is_told()
    await shop.hears({"endToEndId": arrived, "txid": provider_txid(other.id)})
    assert await shop.state(other) is State.ACTIVE
    shop.passes(MINUTE)
    await pix_flow.confirm_due_hints(shop.tools)
    assert (await shop.state(paid), await shop.state(other)) == (State.COMPLETED, State.ACTIVE)


@pytest.mark.checklist("L11")
async def test_what_is_booked_is_what_the_bank_says_when_read(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.fault("receipt.notify", "wrong_amount")
    await shop.payer_pays(charge)

    await shop.is_told()

    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_repeated_notification_changes_nothing(shop: Shop) -> None:
    charge = await shop.charges()
    await shop.payer_pays(charge, notify="twice")

    await shop.is_told()
    await shop.hears_again()
    shop.passes(MINUTE)
    await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.events() == [CREATED, PAID]
    assert await shop.books() == {"bank": -3_000, "available": 3_000}


async def test_a_notification_that_comes_again_is_looked_at_again_although_it_was_given_up(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=86_400)
    early = "E99999002202603071530abcdef12345"
    await shop.hears({"endToEndId": early, "txid": provider_txid(charge.id)})
    for _ in range(6):
        shop.passes(11 * MINUTE)
        await pix_flow.confirm_due_hints(shop.tools)

    await shop.payer_pays(charge, e2e_id=early)
    await shop.is_told()

    assert await shop.state(charge) is State.COMPLETED


async def test_each_notification_about_a_charge_is_looked_at(shop: Shop) -> None:
    charge = await shop.charges()
    change = {"txid": provider_txid(charge.id)}  # of the charge, not of money
    await shop.payer_pays(charge, notify="never")
    await shop.hears(change)
    await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.state(charge) is State.COMPLETED

    await shop.payer_pays(charge, notify="never", force=True)
    await shop.hears(change)
    await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]


async def test_a_notification_that_comes_while_the_one_before_is_read_is_not_taken_for_dealt_with(shop: Shop) -> None:
    charge = await shop.charges()
    change = {"txid": provider_txid(charge.id)}
    await shop.payer_pays(charge, notify="never")

    async def comes_again() -> None:
        shop.passes(1)
        await shop.payer_pays(charge, notify="never", force=True)
        await shop.hears(change)

    await shop.hears(change)
    shop.after["get_charge"] = comes_again
    for _ in range(2):
        await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.receipts() == [("charge", "booked", 3_000), ("repeat", "booked", 3_000)]


async def test_a_hint_the_bank_knows_nothing_of_yet_is_read_again_until_it_does(shop: Shop) -> None:
    charge = await shop.charges()
    await shop.fault("receipt.read", "http_503")
    await shop.payer_pays(charge)

    await shop.is_told()
    assert await shop.state(charge) is State.PAYING

    shop.passes(2 * SECOND)
    await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.state(charge) is State.COMPLETED


@pytest.mark.checklist("L14")
async def test_a_lost_notification_is_made_up_for_by_the_sweep(shop: Shop) -> None:
    charge = await shop.charges("100.04", expires_in_s=86_400)  # paid, and the bank never tells
    shop.passes(2 * SECOND)
    await shop.rings()

    await shop.sweeps()

    assert await shop.state(charge) is State.COMPLETED
    assert await shop.events() == [CREATED, PAID]


@pytest.mark.checklist("L14")
async def test_what_came_in_while_nobody_looked_is_found_by_the_first_sweep(shop: Shop) -> None:
    charges = [await shop.charges(expires_in_s=86_400) for _ in range(3)]
    for charge in charges:
        shop.passes(20 * MINUTE)
        await shop.payer_pays(charge, notify="never")

    await shop.sweeps()

    assert [await shop.state(charge) for charge in charges] == [State.COMPLETED] * 3


async def test_a_sweep_that_fails_leaves_its_window_open(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=86_400)
    await shop.payer_pays(charge, notify="never")
    await shop.fault("sweep.read", "http_503")

    await shop.sweeps()
    assert await shop.state(charge) is State.ACTIVE

    shop.passes(60 * MINUTE)
    await shop.sweeps()
    assert await shop.state(charge) is State.COMPLETED


async def test_hint_look_and_sweep_together_book_once(shop: Shop) -> None:
    charge = await shop.charges("30.00")
    await shop.payer_pays(charge)
    await shop.rings()

    shop.passes(4 * MINUTE)
    for job in (pix_flow.sweep, pix_flow.look_at_due, pix_flow.confirm_due_hints, pix_flow.sweep):
        await job(shop.tools)

    assert await shop.receipts() == [("charge", "booked", 3_000)]
    assert await shop.events() == [CREATED, PAID]


async def test_a_return_that_is_told_before_its_payment_harms_nothing(shop: Shop) -> None:
    charge = await shop.charges()
    [e2e_id] = await shop.payer_pays(charge, notify="never")

    await shop.hears({"endToEndId": e2e_id, "devolucoes": {"id": "x", "status": "DEVOLVIDO"}})
    await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.state(charge) is State.COMPLETED


@pytest.mark.checklist("L16")
async def test_items_nobody_understands_keep_the_others_of_a_notification_not_waiting(shop: Shop) -> None:
    charge = await shop.charges()
    [e2e_id] = await shop.payer_pays(charge, notify="never")
    good = {"endToEndId": e2e_id, "txid": provider_txid(charge.id), "inventado": True}
    odd: list[object] = [7, None, [], {"endToEndId": 5}, {"endToEndId": "a\x00b"}, {"txid": "x" * 10_000}]

    body = json.dumps({"pix": [*odd, good]}).encode()
    assert await shop.hears(body=body) == 200
    assert await shop.hears(body=b'{"pix":[{"endToEndId":"\\ud800"},' + json.dumps(good).encode() + b"]}") == 200
    await pix_flow.confirm_due_hints(shop.tools)

    assert await shop.state(charge) is State.COMPLETED


async def test_a_notification_whose_sender_goes_away_in_the_middle_is_not_kept(shop: Shop) -> None:
    await shop.payer_pays(await shop.charges())
    await shop.rings()
    [(url, body)] = shop.told
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[:40], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_message: object) -> None:
        return None

    scope = {"type": "http", "method": "POST", "path": urlsplit(url).path, "headers": []}
    await PixCallbacks(shop.deps)(scope, receive, send)

    assert len(await shop.rows("select id from provider_callback")) == 1


async def test_a_body_nobody_understands_is_kept_and_answered(shop: Shop) -> None:
    assert await shop.hears(body=b"<html>") == 200
    assert await shop.hears(body=b'{"pix": 5}') == 200

    assert [row["body"] for row in await shop.rows("select body from provider_callback order by id")] == [
        b"<html>",
        b'{"pix": 5}',
    ]


async def test_a_notification_is_kept_also_while_the_bank_cannot_be_reached_from_here(shop: Shop) -> None:
    def unreachable(_account: object) -> Any:
        raise Refused("NO_CERTIFICATE", "This bank asks for a client certificate, and the account has none.")

    shop.deps = replace(shop.deps, receiver=unreachable, payer=unreachable)

    assert await shop.hears(body=b'{"pix":[]}') == 200
    assert len(await shop.rows("select id from provider_callback")) == 1
