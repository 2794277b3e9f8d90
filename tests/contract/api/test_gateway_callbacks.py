"""`/webhook/{gateway}`: what providers tell us counts once, and only what is theirs (merchant-api.md §13)."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from opentill.callbacks.gateway import BODY_BYTES_MAX, GatewayCallbacks
from opentill.kernel.clock import DAY, Instant
from opentill.merchants import gateways
from opentill.payments import flow, queries
from opentill.payments.inbound import queries as inbound
from opentill.payments.inbound import service
from opentill.payments.inbound.store import REJECTED_MAX
from opentill.payments.model import Payment
from tests.contract.api.client import Response, ask
from tests.contract.api.house import INTENT, House, Shop

pytestmark = [pytest.mark.anyio, pytest.mark.bar("S12")]

ADDRESS = "/webhook/sandbox"


class Provider:
    """The provider behind the sandbox gateway, and a payment that is being paid there."""

    def __init__(self, house: House, shop: Shop) -> None:
        self.house, self.shop = house, shop
        self.payment_id = ""
        self.session = ""

    async def opened(self, **fields: Any) -> "Provider":
        made = (await self.house.merchant("POST", "/payment-intents", {**INTENT, **fields}, key=self.shop.key)).json()
        self.payment_id = made["data"]["payment_id"]
        _, session, _ = await flow.choose_gateway(self.house.dependencies.tools, made["data"]["token"], "sandbox")
        self.session = session.reference
        return self

    def paid(self, event: str = "pe_1", **fields: Any) -> bytes:
        told = {"id": event, "session": self.session, "state": "paid", "ref": "8N7A6D5", "amount": "99.99"}
        return json.dumps({**told, "currency": "USD", **fields}).encode()

    def signature(self, body: bytes) -> str:
        secret = gateways.callback_secret(
            "sandbox", owner=self.shop.merchant.owner, keyring=self.house.dependencies.keyring
        )
        return "sha256=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()

    async def tells(self, body: bytes, address: str = ADDRESS, signature: str | None = None, **more: Any) -> Response:
        headers = {"x-sandbox-signature": self.signature(body) if signature is None else signature}
        return await ask(GatewayCallbacks(self.house.dependencies), "POST", address, headers=headers, body=body, **more)

    async def payment(self) -> dict[str, Any]:
        read = await self.house.merchant("GET", f"/payments/{self.payment_id}", key=self.shop.key)
        data: dict[str, Any] = read.json()["data"]
        return data

    async def listed(self, query: str = "") -> list[dict[str, Any]]:
        read = await self.house.merchant("GET", f"/webhooks/deliveries{query}", key=self.shop.key)
        rows: list[dict[str, Any]] = read.json()["data"]
        return [row for row in rows if row["direction"] == "inbound"]


@pytest.fixture
async def provider(house: House) -> Provider:
    return await Provider(house, house.shop).opened()


async def completions(house: House) -> int:
    rows = await house.db.read(lambda tx: tx.all("select count(*) as n from event where type = 'payment.completed'"))
    return int(rows[0]["n"])


@pytest.mark.checklist("M57")
@pytest.mark.parametrize("of_merchant", [False, True])
async def test_a_valid_callback_completes_the_payment(provider: Provider, of_merchant: bool) -> None:
    body = provider.paid()

    answer = await provider.tells(body, f"{ADDRESS}/{provider.shop.merchant.slug}" if of_merchant else ADDRESS)

    assert (answer.status, answer.json()) == (200, {"received": True})
    assert answer.headers["content-length"] == str(len(answer.body))
    payment = await provider.payment()
    assert (payment["status"], payment["gateway_trx_id"], payment["amount"]) == ("completed", "8N7A6D5", "99.99")
    [row] = await provider.listed()
    assert (row["event"], row["status"], row["payload"]) == ("gateway.callback", "received", body.decode())
    assert (row["trx_id"], row["transaction_id"]) == (payment["trx_id"], payment["id"])


@pytest.mark.checklist("M57")
@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "0" * 64, "sha512=abc", "é"])
async def test_a_forged_callback_is_refused_and_shown(provider: Provider, signature: str) -> None:
    answer = await provider.tells(provider.paid(), signature=signature)

    assert (answer.status, answer.json()) == (403, {"received": False})
    assert (await provider.payment())["status"] == "processing"
    [row] = await provider.listed()
    assert (row["status"], row["status_code"]) == ("rejected", 403)
    assert (await provider.tells(provider.paid())).status == 200, "a forger must not take the place of the real one"
    assert (await provider.payment())["status"] == "completed"


@pytest.mark.checklist("M57")
async def test_another_merchants_signature_is_a_forgery(house: House, provider: Provider) -> None:
    stranger = await Provider(house, house.other).opened()
    body = provider.paid()

    of_stranger = await stranger.tells(body)
    at_stranger = await stranger.tells(body, f"{ADDRESS}/{house.other.merchant.slug}")

    assert (of_stranger.status, at_stranger.status) == (403, 404)
    assert (await provider.payment())["status"] == "processing"
    assert await completions(house) == 0


@pytest.mark.checklist("M57")
async def test_a_callback_that_comes_again_counts_once_whatever_its_body(house: House, provider: Provider) -> None:
    body = provider.paid()
    first = await provider.tells(body)
    same = await provider.tells(body)
    other_body = await provider.tells(provider.paid(amount="5.00", ref="another"))

    assert [answer.status for answer in (first, same, other_body)] == [200, 200, 200]
    assert same.body == other_body.body == first.body
    assert await completions(house) == 1
    assert (await provider.payment())["gateway_trx_id"] == "8N7A6D5"
    [row] = await provider.listed()
    assert (row["attempts"], row["payload"]) == (3, body.decode())


@pytest.mark.checklist("M57")
async def test_callbacks_at_the_same_instant_count_once(house: House, provider: Provider) -> None:
    answers = await asyncio.gather(*(provider.tells(provider.paid(f"pe_{number % 4}")) for number in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert await completions(house) == 1
    receipts = await house.db.read(lambda tx: tx.all("select units from receipt"))
    assert [row["units"] for row in receipts] == [999_900]


@pytest.mark.checklist("M57")
@pytest.mark.parametrize("wrong", [{"amount": "99.98"}, {"amount": "100.00"}, {"currency": "EUR"}])
async def test_a_wrong_amount_waits_for_a_person(house: House, provider: Provider, wrong: dict[str, str]) -> None:
    answer = await provider.tells(provider.paid(**wrong))

    assert answer.status == 200
    assert await completions(house) == 0
    payment = await provider.payment()
    assert (payment["status"], payment["amount"]) == ("processing", "99.99")
    read = await house.merchant("GET", f"/transactions/{payment['trx_id']}")
    assert read.json()["data"]["status"] == "pending_review"


async def test_paid_without_an_amount_completes_nothing(house: House, provider: Provider) -> None:
    body = json.dumps({"id": "pe_1", "session": provider.session, "state": "paid", "currency": "USD"}).encode()

    assert (await provider.tells(body)).status == 200
    assert await completions(house) == 0


@pytest.mark.checklist("M57")
async def test_an_unknown_session_is_answered_404_and_changes_nothing(house: House, provider: Provider) -> None:
    body = provider.paid(session="ses_000000000000000000000000")
    before = await house.rows()

    nobodys = await provider.tells(body)
    merchants = [await provider.tells(body, f"{ADDRESS}/{provider.shop.merchant.slug}") for _ in range(2)]

    assert nobodys.status == 404
    assert [answer.status for answer in merchants] == [404, 404]
    assert await house.rows() == before
    assert [row["status"] for row in await provider.listed()] == ["rejected", "rejected"]


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("POST", "/webhook/nothing", 404),
        ("POST", "/webhook/pix", 404),
        ("POST", "/webhook/sandbox/nobody", 404),
        ("POST", "/webhook/sandbox/a/b", 404),
        ("POST", "/webhook/", 404),
        ("GET", "/webhook/sandbox", 405),
    ],
)
async def test_an_address_nobody_has_stores_nothing(
    house: House, provider: Provider, method: str, address: str, status: int
) -> None:
    answer = await ask(GatewayCallbacks(house.dependencies), method, address, body=provider.paid())

    assert answer.status == status
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)
    assert await house.db.read(lambda tx: list(tx.all("select 1 from gateway_callback"))) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"state":"paid"}', b'{"session":5}', b"[" * 100_000],
)
async def test_what_cannot_be_read_is_refused_though_it_is_signed(provider: Provider, body: bytes) -> None:
    answer = await provider.tells(body, f"{ADDRESS}/{provider.shop.merchant.slug}")

    assert answer.status == 403
    assert (await provider.payment())["status"] == "processing"


async def test_too_large_a_body_is_refused(provider: Provider) -> None:
    assert (await provider.tells(b"x" * (BODY_BYTES_MAX + 1))).status == 413
    assert await provider.listed() == []


async def test_callbacks_are_taken_from_listed_networks_only(house: House, provider: Provider) -> None:
    await house.run("""update merchant_gateway set settings = '{"callback_networks": ["198.51.100.0/24"]}'""")

    from_elsewhere = await provider.tells(provider.paid())
    from_there = await provider.tells(provider.paid(), peer="198.51.100.7")

    assert (from_elsewhere.status, from_there.status) == (403, 200)


async def test_a_suspended_merchant_still_hears_of_its_money(house: House, provider: Provider) -> None:
    await house.run("update merchant set status = 'suspended'")

    assert (await provider.tells(provider.paid())).status == 200
    assert await completions(house) == 1


async def test_a_callback_of_a_decline_lets_the_payer_try_again(provider: Provider) -> None:
    told = {"id": "pe_1", "session": provider.session, "state": "failed", "reason": "No funds."}

    assert (await provider.tells(json.dumps(told).encode())).status == 200
    assert (await provider.payment())["status"] == "pending"


async def test_a_callback_ends_a_refund_nobody_knew_the_outcome_of(house: House) -> None:
    provider = await Provider(house, house.shop).opened(amount="20.10")  # refund answers of this amount are lost
    await provider.tells(provider.paid(amount="20.10"))
    asked = (await house.merchant("POST", "/refunds", {"transaction_id": provider.payment_id})).json()["data"]
    told = json.dumps({"id": "pe_2", "refund": asked["uuid"], "state": "completed", "ref": "R-991"}).encode()

    nobodys = await provider.tells(told)
    answers = [await provider.tells(told, f"{ADDRESS}/{house.shop.merchant.slug}") for _ in range(2)]

    assert asked["status"] == "pending"
    assert (nobodys.status, [answer.status for answer in answers]) == (404, [200, 200])
    refund = (await house.merchant("GET", f"/refunds/{asked['uuid']}")).json()["data"]
    assert (refund["status"], refund["gateway_refund_id"]) == ("completed", "R-991")


async def test_a_fault_on_our_side_asks_the_provider_to_come_again(
    house: House, provider: Provider, database_url: str
) -> None:
    class Broken(type(house.dependencies.gateways["sandbox"])):  # type: ignore[misc]
        def verify_callback(self, request: object, secret: object) -> None:
            raise RuntimeError("a bug")

    broken = replace(house.dependencies, gateways={"sandbox": Broken()})
    body = provider.paid()
    answer = await ask(GatewayCallbacks(broken), "POST", ADDRESS, body=body)

    assert (answer.status, answer.json()) == (500, {"received": False})
    assert (await provider.tells(body)).status == 200
    assert await completions(house) == 1


async def test_in_and_out_are_listed_in_one_order_and_in_pages(house: House, provider: Provider) -> None:
    for number in range(5):
        await provider.tells(provider.paid(f"pe_{number}"))
    everything = await provider.listed()
    first = (await house.merchant("GET", "/webhooks/deliveries?per_page=2&event=gateway.callback")).json()
    second = (await house.merchant("GET", "/webhooks/deliveries?per_page=2&page=2&event=gateway.callback")).json()
    third = (
        await house.merchant(
            "GET", f"/webhooks/deliveries?per_page=2&event=gateway.callback&cursor={first['meta']['next_cursor']}"
        )
    ).json()

    assert [row["id"] for row in everything] == sorted((row["id"] for row in everything), reverse=True)
    assert first["meta"]["total"] == 5
    assert first["data"] + second["data"] == everything[:4]
    assert third["data"] == second["data"]
    assert len(await provider.listed(f"?payment_id={provider.payment_id}")) == 5
    assert await provider.listed("?status=rejected") == []
    assert await provider.listed("?endpoint_id=1") == []
    foreign = (await house.merchant("GET", "/webhooks/deliveries", key=house.other.key)).json()
    assert foreign["data"] == []


async def test_rejected_requests_and_old_ones_do_not_pile_up(house: House, provider: Provider) -> None:
    for number in range(REJECTED_MAX + 3):
        await provider.tells(provider.paid(f"pe_{number}"), signature="sha256=0")
    kept = await house.db.read(lambda tx: list(tx.all("select event_key from gateway_callback")))
    purged = await house.db.write(
        lambda tx: service.purge(tx, before=Instant(house.clock.now() + DAY), most=REJECTED_MAX)
    )
    owner = house.shop.merchant.owner

    assert len(kept) == REJECTED_MAX
    assert purged == REJECTED_MAX
    assert await house.db.read(lambda tx: inbound.latest(tx, "sandbox", owner=owner)) is None


async def test_the_payment_is_the_one_the_session_belongs_to(house: House, provider: Provider) -> None:
    def found(tx: Any) -> Payment | None:
        keyring = house.dependencies.keyring
        return queries.find(tx, "8N7A6D5", owner=provider.shop.merchant.owner, keyring=keyring)

    await provider.tells(provider.paid())

    payment = await house.db.read(found)
    assert payment is not None
    assert payment.uuid == provider.payment_id
