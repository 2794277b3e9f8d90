"""Clients written from merchant-api.md §19 work unchanged: what they send is understood, what they read is there."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.kernel.clock import SECOND
from opentill.kernel.secret import Secret
from opentill.payments import flow
from opentill.webhooks.model import Dialect, SignatureFormat, SigningSecrets
from opentill.webhooks.signing import Attempt, headers
from tests.contract.api.client import Response
from tests.contract.api.house import PAYMENT, House, open_house
from tests.contract.clients import laravel, node
from tests.contract.clients.laravel import Laravel, WebhookRoute
from tests.contract.clients.node import Node
from tests.contract.clients.woocommerce import Order, WooCommerce
from tests.fakes.receiver import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.bar("C16")]

ADMIN = "ana@example.com"
SECRET = "brand-default-secret"
NODE_PAYMENT = {"amount": 149.9, "currency": "brl", "reference": "INV-1", "callback_url": "", "metadata": {"cart": 7}}
PAYMENT_FIELDS = {"id", "payment_id", "token", "checkout_url", "status", "amount", "currency", "fee", "trx_id"}


class Shops:
    """A house, and the three clients that talk to it."""

    def __init__(self, house: House, key: str) -> None:
        self.house, self.key = house, key
        self.waited: list[float] = []
        self.node = Node(self.transport, key, sleep=self.sleep, super_admin_email=ADMIN)
        self.laravel = Laravel(self.transport, key)
        self.woo = WooCommerce(self.transport, key, secret=SECRET)

    async def transport(self, method: str, target: str, sent: Mapping[str, str], body: bytes) -> Response:
        return await self.house.merchant(method, target, key=None, headers=sent, body=body)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.house.clock.advance(int(seconds * SECOND))


@pytest.fixture
async def shops(database: Database, tmp_path: Path) -> AsyncIterator[Shops]:
    house = await open_house(database, tmp_path)
    await house.run(f"insert into operator (email, name, password_hash, created_at) values ('{ADMIN}', 'Ana', 'x', 0)")
    await house.run("insert into operator_grant (operator_id, role, created_at) select id, 'owner', 0 from operator")
    key = await house.db.write(
        lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=["read", "write", "admin"])
    )
    yield Shops(house, key.reveal())
    await house.close()


# Node


@pytest.mark.checklist("M16")
async def test_node_creates_and_reads_a_payment(shops: Shops) -> None:
    made = await shops.node.create_payment(NODE_PAYMENT)
    read = await shops.node.get("payments", made["payment_id"])

    assert made["payment_id"]
    assert made["token"]
    assert made["checkout_url"].endswith(made["token"])
    assert made["status"] == "pending"
    assert read.keys() >= PAYMENT_FIELDS
    assert type(read["id"]) is int
    assert (read["amount"], read["currency"], read["fee"]) == ("149.90", "BRL", "0.00")
    assert read["metadata"] == {"cart": 7}


@pytest.mark.checklist("M18")
async def test_node_lists_with_its_four_numbers_and_filters(shops: Shops) -> None:
    for _ in range(3):
        await shops.node.create_payment(NODE_PAYMENT)
    now = datetime.fromtimestamp(shops.house.clock.now() / SECOND, UTC)

    page = await shops.node.list("transactions", page=1, per_page=2)
    assert page["meta"].items() >= {"page": 1, "per_page": 2, "total": 3, "total_pages": 2}.items()
    for query, found in (
        ({"status": "pending"}, 3),
        ({"status": "completed"}, 0),
        ({"gateway": "sandbox"}, 0),
        ({"from": now.date().isoformat(), "to": now.date().isoformat()}, 3),
        ({"from": now.isoformat()}, 3),
        ({"to": now.replace(day=1).isoformat()}, 0),
    ):
        assert (await shops.node.list("transactions", **query))["meta"]["total"] == found, query
    row = page["data"][0]
    assert type((await shops.node.get("transactions", row["trx_id"]))["id"]) is int


@pytest.mark.checklist("M17")
async def test_node_manages_keys_and_reads_health(shops: Shops) -> None:
    made = await shops.node.post("api-keys", {"label": "Second", "scopes": ["read"]})
    listed = (await shops.node.call("GET", "/api-keys"))["data"]
    revoked = await shops.node.delete("api-keys", made["id"])
    health = (await shops.node.call("GET", "/health"))["data"]

    assert {type(key["id"]) for key in listed} == {int}
    assert made["key"].startswith("op_")
    assert revoked["message"]
    assert health["db"] == "connected"


@pytest.mark.checklist("M17")
async def test_node_gives_money_back_and_reads_it(shops: Shops) -> None:
    payment = await paid(shops.house)
    made = await shops.node.post("refunds", {"trx_id": payment["trx_id"], "amount": "1.00"})
    page = await shops.node.list("refunds")
    read = await shops.node.get("refunds", payment["trx_id"])

    assert {type(refund[name]) for refund in (made, read, *page["data"]) for name in ("id", "transaction_id")} == {int}
    assert (read["amount"], read["status"]) == ("1.00", "completed")


@pytest.mark.checklist("M17", "M29")
async def test_clients_find_a_customer_by_mail_and_telephone_percent_encoded_and_raw(shops: Shops) -> None:
    made = await shops.node.post("customers", {"name": "Jane", "email": "a@b.example", "phone": "+8801712345678"})

    found = [await shops.node.get("customers", name) for name in ("a@b.example", "+8801712345678", made["uuid"])]
    found += [(await shops.laravel.get(f"customers/{name}"))["data"] for name in ("+8801712345678", "a@b.example")]
    page = await shops.node.list("customers", page=1, per_page=5)

    assert [customer["uuid"] for customer in found] == [made["uuid"]] * 5
    assert {type(customer["id"]) for customer in (*found, *page["data"])} == {int}


@pytest.mark.checklist("M17", "M26")
async def test_clients_test_an_endpoint_and_read_deliveries(shops: Shops) -> None:
    await shops.house.keeps_attempts()
    async with Receiver() as receiver:
        await shops.house.run("""update merchant set outbound_allow = '["127.0.0.1"]'""")
        await shops.node.post("webhooks", {"url": receiver.url("/hook")})
        first = (await shops.node.call("POST", "/webhooks/tests"))["data"]
        second = (await shops.laravel.post("webhooks/tests"))["data"]
        rows = (await shops.node.call("GET", "/webhooks/deliveries"))["data"]

    assert first["status_code"] == second["status_code"] == 200
    assert [row["delivery_id"] for row in rows] == [second["delivery_id"], first["delivery_id"]]
    assert {type(row["id"]) for row in rows} == {int}


@pytest.mark.checklist("M26", "M41")
async def test_a_paid_payment_is_completed_for_every_client_at_once(shops: Shops) -> None:
    order = Order(1042, "500.00", "BRL")
    sent_to = await shops.woo.places(order)
    assert sent_to is not None
    await pays(shops.house, sent_to.rpartition("/")[2])

    assert await shops.woo.thanks(order) == "paid"
    assert (await shops.laravel.get_payment(order.payment_id)).status == "completed"
    back = await shops.laravel.post("refunds", {"transaction_id": order.payment_id})
    assert (back["data"]["amount"], (await shops.laravel.get("refunds"))["data"][0]["status"]) == (
        "500.00",
        "completed",
    )
    assert await shops.woo.thanks(order) == "paid"


@pytest.mark.checklist("M19")
async def test_node_knows_each_error_and_its_message(shops: Shops) -> None:
    async def fails(work: object) -> node.OwnPayError:
        with pytest.raises(node.OwnPayError) as caught:
            await work  # type: ignore[misc]
        assert caught.value.message not in ("true", "None")
        assert " " in caught.value.message
        assert caught.value.request_id
        assert caught.value.request_id.startswith("req-")
        return caught.value

    stranger = Node(shops.transport, "op_00000000." + "0" * 48, sleep=shops.sleep)
    reader = await shops.node.post("api-keys", {"scopes": ["read"]})
    reading = Node(shops.transport, reader["key"], sleep=shops.sleep)
    await shops.node.create_payment(NODE_PAYMENT, idempotency_key="k")

    assert isinstance(await fails(stranger.get("payments", "x")), node.AuthenticationError)
    assert isinstance(await fails(reading.create_payment(NODE_PAYMENT)), node.ScopeError)
    assert isinstance(await fails(shops.node.get("payments", "txn_" + "0" * 16)), node.NotFoundError)
    reused = await fails(shops.node.create_payment({**NODE_PAYMENT, "amount": 1}, idempotency_key="k"))
    assert isinstance(reused, node.IdempotencyError)
    invalid = await fails(shops.node.create_payment({**NODE_PAYMENT, "amount": 0, "redirect_url": "nowhere"}))
    assert isinstance(invalid, node.ValidationError)
    assert set(invalid.get_field_errors()) == {"amount", "redirect_url"}
    await shops.house.db.close()
    away = await fails(shops.node.call("GET", "/health"))
    assert isinstance(away, node.ApiError)
    assert away.error_code == "SERVICE_UNAVAILABLE"


@pytest.mark.checklist("M20")
async def test_node_waits_as_long_as_the_body_says_and_succeeds(shops: Shops) -> None:
    limited = await shops.node.post("api-keys", {"rate_limit": 1})
    client = Node(shops.transport, limited["key"], sleep=shops.sleep)

    await client.call("GET", "/health")
    await client.call("GET", "/health")

    assert len(shops.waited) == 1
    assert 1 <= shops.waited[0] <= 60


@pytest.mark.checklist("M21")
async def test_node_repeats_under_a_key_and_gets_one_payment(shops: Shops) -> None:
    one = await shops.node.create_payment(NODE_PAYMENT, idempotency_key="order-1")
    again = await shops.node.create_payment(NODE_PAYMENT, idempotency_key="order-1")

    assert one == again
    assert (await shops.house.rows())["payment"] == 1


@pytest.mark.checklist("M22")
async def test_a_repeat_after_a_lost_answer_is_one_payment_where_the_merchant_guards(shops: Shops) -> None:
    await shops.house.run("""update merchant set settings = '{"duplicate_guard_minutes": 10}'""")
    lost = iter([True])

    async def losing(method: str, target: str, sent: Mapping[str, str], body: bytes) -> Response:
        answer = await shops.transport(method, target, sent, body)
        return Response(500, {}, b'{"success":false,"error":"lost"}') if next(lost, False) else answer

    made = await Node(losing, shops.key, sleep=shops.sleep).create_payment(NODE_PAYMENT)

    assert (await shops.house.rows())["payment"] == 1
    assert (await shops.node.get("payments", made["payment_id"]))["payment_id"] == made["payment_id"]


@pytest.mark.checklist("M23")
@pytest.mark.parametrize("hours_later", [0, 7])
def test_node_verifies_what_an_endpoint_gets(hours_later: int) -> None:
    body = b'{"event":"payment.completed"}'
    sent_s = 1_784_000_000 + hours_later * 3600
    bare, prefixed = signed(body, sent_s, SignatureFormat.BARE), signed(body, sent_s, SignatureFormat.PREFIXED)

    def verifies(header: str) -> bool:
        return node.verify_webhook_signature(body, header, SECRET, bare["X-OwnPay-Timestamp"], now_s=sent_s)

    assert verifies(bare["X-OwnPay-Signature"])
    assert verifies(bare["X-OP-Signature"])
    assert verifies(prefixed["X-OP-Signature"])
    assert not verifies(prefixed["X-OwnPay-Signature"])


# Laravel


@pytest.mark.checklist("M26", "M27")
async def test_laravel_passes_any_alias_and_number_through(shops: Shops) -> None:
    made = await shops.laravel.create_payment(
        {"amount": 100, "currency": "BRL", "customer_mail": "a@b.example", "reference": 1042, "customer_phone": 5511999}
    )
    read = await shops.laravel.get_payment(made.payment_id)
    listed = await shops.laravel.get("transactions", per_page=1)

    assert all((made.payment_id, made.token, made.checkout_url))
    assert (read.payment_id, read.status) == (made.payment_id, "pending")
    assert listed["data"][0]["reference"] == "1042"
    assert listed["data"][0]["amount"] == "100.00"


@pytest.mark.checklist("M28")
async def test_laravel_sends_an_empty_list_and_no_super_admin(shops: Shops) -> None:
    made = (await shops.laravel.post("api-keys"))["data"]
    gone = await shops.laravel.delete(f"api-keys/{made['id']}")

    assert made["name"] == "Default"
    assert gone["data"]["message"]


@pytest.mark.checklist("M30")
async def test_laravel_knows_a_limit_from_a_broken_connection(shops: Shops) -> None:
    limited = (await shops.laravel.post("api-keys", {"rate_limit": 1}))["data"]
    client = Laravel(shops.transport, limited["key"])
    await client.get("health")

    with pytest.raises(laravel.RateLimitException):
        await client.get("health")
    curl = await shops.house.merchant("GET", "/health", key=limited["key"], headers={"user-agent": "curl/8"})
    assert curl.headers["retry-after"]
    await shops.house.merchant_api.settled()
    await shops.house.db.close()
    with pytest.raises(laravel.ServerException):
        await shops.laravel.get("health")


@pytest.mark.checklist("M31")
async def test_laravel_reads_the_text_and_the_code_of_an_error(shops: Shops) -> None:
    with pytest.raises(laravel.ValidationException) as wrong:
        await shops.laravel.create_payment({"amount": "0", "currency": "BRL"})
    assert wrong.value.message == "amount must be greater than zero"
    assert wrong.value.get_error_code() == "INVALID_AMOUNT"

    with pytest.raises(laravel.NotFoundException) as missing:
        await shops.laravel.get_payment("txn_" + "0" * 16)
    assert missing.value.get_error_code() == "PAYMENT_NOT_FOUND"


@pytest.mark.checklist("M32")
@pytest.mark.parametrize("hours_later", [0, 24])
def test_laravel_takes_the_first_delivery_and_one_a_day_later(hours_later: int) -> None:
    body, sent_s = body_of("payment.completed"), 1_784_000_000 + hours_later * 3600

    given = WebhookRoute(SECRET).receive(signed(body, sent_s), body, now_s=sent_s)

    assert given is not None
    assert isinstance(given["amount"], str)
    assert isinstance(given["customer"], dict)
    assert isinstance(given["metadata"], dict)
    assert WebhookRoute("another secret").receive(signed(body, sent_s), body, now_s=sent_s) is None
    assert WebhookRoute(SECRET).receive(signed(body, sent_s), body, now_s=sent_s + 301) is None


@pytest.mark.checklist("M33")
async def test_laravel_prints_six_values_and_reads_what_became_of_a_key(shops: Shops) -> None:
    health = (await shops.laravel.get("health"))["data"]
    made = (await shops.laravel.post("api-keys"))["data"]

    assert all(health[name] is not None for name in ("status", "version", "db", "gateways", "customers", "time"))
    assert isinstance((await shops.laravel.delete(f"api-keys/{made['id']}"))["data"]["message"], str)


# WooCommerce


@pytest.mark.checklist("M34")
@pytest.mark.parametrize("customer", [{}, {"name": "Ana", "email": "ana@example.com", "phone": "+55 11 9"}])
async def test_an_order_is_sent_to_the_checkout(shops: Shops, customer: dict[str, str]) -> None:
    order = Order(1042, "99.90", "BRL")

    sent_to = await shops.woo.places(order, **customer)

    assert sent_to is not None
    assert sent_to.startswith("https://pay.example.com/checkout/")
    assert await shops.woo.thanks(order) == "pending"
    assert order.note == ""


@pytest.mark.checklist("M35")
async def test_an_order_in_yen_may_carry_two_decimals(shops: Shops) -> None:
    order = Order(7, "1500.00", "JPY")

    assert await shops.woo.places(order) is not None
    assert (await shops.node.get("payments", order.payment_id))["amount"] == "1500"
    assert (await shops.woo.thanks(order), order.note) == ("pending", "")


@pytest.mark.checklist("M36")
async def test_every_failure_becomes_a_notice_of_sentences(shops: Shops) -> None:
    reader = await shops.node.post("api-keys", {"scopes": ["read"]})
    limited = await shops.node.post("api-keys", {"rate_limit": 1})
    wrong = Order(1, "0", "XXX")

    assert await shops.woo.places(wrong) is None
    for key in ("op_00000000." + "0" * 48, reader["key"], limited["key"], limited["key"]):
        shop = WooCommerce(shops.transport, key)
        await shop.places(Order(2, "1.00", "BRL"))
        shops.woo.notices += shop.notices
    await shops.house.merchant_api.settled()
    await shops.house.db.close()
    assert await shops.woo.places(Order(3, "1.00", "BRL")) is None

    assert len(shops.woo.notices) == 5  # 422, 401, 403, 429 and 503; the first call of the limited key succeeds
    assert all(notice.strip() and notice != "True" for notice in shops.woo.notices)
    assert "amount must be greater than zero" in shops.woo.notices[0]


@pytest.mark.checklist("M37")
@pytest.mark.parametrize("without", [(), ("reference",), ("reference", "id")])
def test_a_webhook_finds_its_order_by_each_of_three_names(without: tuple[str, ...]) -> None:
    body = body_of("payment.completed")
    told = json.loads(body)
    shop = WooCommerce(None, "op_x", secret=SECRET)  # type: ignore[arg-type]
    order = Order(1001, told["amount"], told["currency"], payment_id=told["payment_id"])
    shop.orders[order.number] = order
    told["data"]["reference"] = "1001"
    for name in without:
        del told["data"][name]
    body = json.dumps(told).encode()

    assert shop.receive(signed(body, 1_784_000_000), body) == 200
    assert (order.status, order.note) == ("paid", "")
    assert shop.receive({"X-Signature": "sha256=" + "0" * 64}, body) == 403
    assert shop.receive({}, body) == 401


async def paid(house: House) -> dict[str, Any]:
    made: dict[str, Any] = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    await pays(house, made["token"])
    return made


async def pays(house: House, token: str) -> None:
    """Pay at the checkout with the sandbox gateway."""
    tools = house.dependencies.tools
    await flow.choose_gateway(tools, token, "sandbox")
    await flow.submit(tools, token, {"outcome": "pay"})


def signed(body: bytes, at_s: int, form: SignatureFormat = SignatureFormat.PREFIXED) -> dict[str, str]:
    attempt = Attempt(
        dialect=Dialect.MERCHANT,
        event_id="evt_00112233445566778899aabb",
        event_name="payment.completed",
        delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
        number=1,
        timestamp=at_s,
        body=body,
        signature_format=form,
    )
    return dict(headers(attempt, SigningSecrets(Secret(SECRET), None)))


def body_of(name: str) -> bytes:
    folder = Path(__file__).parents[1] / "webhooks" / "golden" / "merchant-1.0-string"
    return (folder / f"{name}.json").read_bytes().strip()
