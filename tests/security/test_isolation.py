"""Tenants and modes do not meet: every operation of every OpenAPI document, with the wrong key and the wrong object.

Generated from the documents. A path that names an object needs a line in THINGS, which makes such an object for a
merchant; without one its test fails. What lies below such a path (`…/cancel`) is covered by the same line.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from opentill.db import Database
from opentill.kernel.mode import Mode
from opentill.merchants import queries
from opentill.merchants.model import PERMISSIONS, SCOPES
from opentill.web.routes import FEED, SANDBOX
from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, HOOK, PAYMENT, House, Shop, open_house, open_shop

pytestmark = [pytest.mark.anyio, pytest.mark.bar("S5"), pytest.mark.checklist("M59")]


@dataclass(frozen=True)
class Case:
    """One operation of one document."""

    api: str
    method: str
    path: str
    permission: str

    def __str__(self) -> str:
        return f"{self.api}: {self.method} {self.path}"

    @property
    def thing(self) -> str:
        """Return the part of the path that names an object, empty where none does."""
        return self.path[: self.path.rindex("}") + 1] if "}" in self.path else ""


def cases() -> Iterator[Case]:
    for api, document in (("merchant", MERCHANT), ("pix", EXTERNAL)):
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                yield Case(api, method.upper(), path, operation["x-permission"])


CASES: Final = list(cases())


async def a_payment(house: House, shop: Shop, field: str = "payment_id") -> tuple[str, ...]:
    return (await taken(house, shop, "/payments", PAYMENT, field),)


async def a_transaction(house: House, shop: Shop) -> tuple[str, ...]:
    return await a_payment(house, shop, "trx_id")


async def a_customer(house: House, shop: Shop) -> tuple[str, ...]:
    return (await taken(house, shop, "/customers", {"name": "Ana"}, "uuid"),)


async def a_link(house: House, shop: Shop) -> tuple[str, ...]:
    return (await taken(house, shop, "/payment-links", {"title": "Tea", "currency": "BRL", "amount": "5"}, "uuid"),)


async def an_invoice(house: House, shop: Shop) -> tuple[str, ...]:
    items = [{"description": "Tea", "quantity": 1, "unit_price": "5.00"}]
    fields = {"customer": {"name": "Ana", "email": "ana@example.com"}, "currency": "BRL", "items": items}
    return (await taken(house, shop, "/invoices", fields, "uuid"),)


async def an_endpoint(house: House, shop: Shop) -> tuple[str, ...]:
    return (await taken(house, shop, "/webhooks", {"url": "https://shop.example/hook"}, "webhook_id"),)


async def a_feed(house: House, shop: Shop) -> tuple[str, ...]:
    return (await taken(house, shop, "/webhooks/feeds", {}, "webhook_id"),)


async def a_delivery(house: House, shop: Shop) -> tuple[str, ...]:
    """A test of an endpoint whose address may not be reached leaves a failed delivery."""
    await house.keeps_attempts()
    await taken(house, shop, "/webhooks", {"url": "https://10.0.0.7/hook"}, "id")
    await house.merchant("POST", "/webhooks/tests", key=shop.key)
    listed = await house.merchant("GET", "/webhooks/deliveries", key=shop.key)
    return (str(listed.json()["data"][0]["delivery_id"]),)


async def a_key(house: House, shop: Shop) -> tuple[str, ...]:
    owner, now = shop.merchant.owner, house.clock.now()
    keys = await house.db.read(lambda tx: queries.api_keys(tx, owner=owner, now=now))
    return (str(keys[-1].id),)


async def a_receipt(house: House, shop: Shop) -> tuple[str, ...]:
    """Money of a payment that arrived; its end-to-end id."""
    [payment] = await a_payment(house, shop)
    await house.run(
        """
        insert into receipt (merchant_id, mode, gateway, ref, payment_id, units, currency, origin, state,
                             received_at, created_at)
        select merchant_id, mode, 'pix', :ref, id, units, currency, 'charge', 'booked', created_at, created_at
          from payment where uuid = :uuid
        """,
        ref=E2E,
        uuid=payment,
    )
    return (E2E,)


async def a_refund(house: House, shop: Shop) -> tuple[str, ...]:
    return await of_receipt(
        house,
        shop,
        """
        insert into refund (uuid, merchant_id, mode, payment_id, receipt_id, gateway, origin, status, step, units,
                            currency, charge_units, charge_currency, created_at, processed_at)
        select :uuid, merchant_id, mode, payment_id, id, gateway, 'merchant', 'completed', 'over', units, currency,
               units, currency, created_at, created_at from receipt where ref = :ref
        """,
    )


async def a_dispute(house: House, shop: Shop) -> tuple[str, ...]:
    return await of_receipt(
        house,
        shop,
        """
        insert into dispute (uuid, merchant_id, mode, payment_id, receipt_id, gateway, status, units, currency,
                             charge_units, charge_currency, created_at, updated_at)
        select :uuid, merchant_id, mode, payment_id, id, gateway, 'open', units, currency, units, currency,
               created_at, created_at from receipt where ref = :ref
        """,
    )


async def a_pix_endpoint(house: House, shop: Shop) -> tuple[str, ...]:
    made = await house.pix("POST", "/webhooks", HOOK, shop=shop)
    assert made.status == 201
    return (str(made.json()["id"]),)


async def a_pix_delivery(house: House, shop: Shop) -> tuple[str, ...]:
    return (*await a_pix_endpoint(house, shop), "dlv_0197f3c200010a0b0c0d0e0f")


async def a_charge(house: House, shop: Shop, field: str = "transaction_id") -> tuple[str, ...]:
    made = await house.pix("POST", "/pix/cash-in", CASH_IN, shop=shop)
    assert made.status == 200, made.body
    return (str(made.json()[field]),)


async def a_payout(house: House, shop: Shop) -> tuple[str, ...]:
    """One that waits at the bank."""
    name = "PIXOUT20260307000000000000000001"
    await house.run(
        """
        insert into pix_payout (id, uuid, merchant_id, mode, account_id, state, units, fee_units, target, created_by,
                                submitted_at, created_at, updated_at)
        select :id, :uuid, merchant_id, mode, id, 'processing', 100, 0, '{}', 'api', created_at, created_at, created_at
          from pix_account where merchant_id = :merchant_id and mode = :mode
        """,
        id=name,
        uuid="0197f3c2-0000-7000-8000-0000000000e0",
        **shop.merchant.owner.columns,
    )
    return (name,)


async def an_event(house: House, shop: Shop) -> tuple[str, ...]:
    await a_payment(house, shop)
    owner = shop.merchant.owner
    rows = await house.db.read(
        lambda tx: tx.all("select id from event where merchant_id = :id order by seq desc", id=owner.merchant_id)
    )
    return (str(rows[0]["id"]),)


async def an_external_id(house: House, shop: Shop) -> tuple[str, ...]:
    return await a_charge(house, shop, "external_id")


async def an_infraction(house: House, shop: Shop) -> tuple[str, ...]:
    await a_receipt(house, shop)
    await house.run(
        """
        insert into pix_infraction (id, merchant_id, mode, account_id, receipt_id, ref, state, kind, units, block_id,
                                    opened_at, defense_until_at, watched_until_at, created_at)
        select :id, r.merchant_id, r.mode, a.id, r.id, 'ref-1', 'open', 'REFUND_REQUEST', r.units, 'block-1',
               r.created_at, r.created_at + 86400000000, r.created_at + 86400000000, r.created_at
          from receipt r join pix_account a on a.merchant_id = r.merchant_id and a.mode = r.mode where r.ref = :ref
        """,
        id=MED,
        ref=E2E,
    )
    return (MED,)


async def of_receipt(house: House, shop: Shop, insert: str) -> tuple[str, ...]:
    uuid = "0197f3c2-0000-7000-8000-0000000000d0"
    await a_receipt(house, shop)
    await house.run(insert, uuid=uuid, ref=E2E)
    return (uuid,)


async def taken(house: House, shop: Shop, path: str, fields: object, field: str) -> str:
    """Make something over the merchant API and return one of its names."""
    made = await house.merchant("POST", path, fields, key=shop.key)
    assert made.status == 201, made.body
    return str(made.json()["data"][field])


E2E: Final = "E9999900220260307153000000000001"
MED: Final = "MED20260307000000000000000000001"
# Who makes the object that a path names, for whom it is to belong to: one text for each pair of braces.
THINGS: Final[dict[tuple[str, str], Callable[[House, Shop], Awaitable[tuple[str, ...]]]]] = {
    ("merchant", "/payments/{payment_id}"): a_payment,
    ("merchant", "/payment-intents/{ref}"): a_transaction,
    ("merchant", "/transactions/{trx_id}"): a_transaction,
    ("merchant", "/customers/{identifier}"): a_customer,
    ("merchant", "/payment-links/{ref}"): a_link,
    ("merchant", "/invoices/{uuid}"): an_invoice,
    ("merchant", "/refunds/{trx_id}"): a_refund,
    ("merchant", "/disputes/{uuid}"): a_dispute,
    ("merchant", "/api-keys/{id}"): a_key,
    ("merchant", "/webhooks/{id}"): an_endpoint,
    ("merchant", "/webhooks/{id}/feed"): a_feed,
    ("merchant", "/webhooks/{id}/feed-token"): a_feed,
    ("merchant", "/webhooks/deliveries/{id}"): a_delivery,
    ("merchant", "/events/{id}"): an_event,
    ("pix", "/pix/cash-in/{id}/cancel"): a_charge,
    ("pix", "/webhooks/{id}"): a_pix_endpoint,
    ("pix", "/webhooks/{id}/deliveries/{delivery_id}"): a_pix_delivery,
    ("pix", "/transactions/e2e/{e2e_id}"): a_receipt,
    ("pix", "/transactions/tag/{tag}"): a_charge,
    ("pix", "/transactions/ref/{external_id}"): an_external_id,
    ("pix", "/transactions/{id}"): a_charge,
    ("pix", "/med/{id}"): an_infraction,
    ("pix", "/sandbox/charges/{id}"): a_charge,
    ("pix", "/sandbox/payouts/{id}"): a_payout,
    ("pix", "/sandbox/refunds/{id}"): a_charge,  # found as any movement is
    ("pix", "/sandbox/med/{id}"): an_infraction,
}
SEEN_IN_LISTS: Final = (a_payment, a_customer, a_link, an_invoice, an_endpoint, a_pix_endpoint, a_charge, a_dispute)
# What a request needs, to be refused for its object and not for its fields.
FIELDS: Final = {
    ("pix", "/med/{id}/defense"): {"defense_text": "The goods were sent and received."},
    ("pix", "/sandbox/med/{id}/resolve"): {"result": "AGREED"},
}
# Where the document answers a list that may be empty, instead of 404.
LISTS_BY_NAME: Final = {("pix", "/transactions/tag/{tag}")}


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    """Two shops, and `third`: a live one of its own."""
    return await open_house(database, tmp_path, key_rate_limit=100_000)


async def ask(house: House, case: Case, shop: Shop, target: str) -> Response:
    fields = FIELDS.get((case.api, case.path), {}) if case.method in ("POST", "PUT", "PATCH") else None
    if case.api == "merchant":
        return await house.merchant(case.method, target, fields, key=shop.key)
    return await house.pix(case.method, target, fields, shop=shop)


async def powerful(house: House, shop: Shop) -> Shop:
    """Return the shop with a key and a credential that may do everything."""
    key = await house.db.write(lambda tx: house.scene.api_key(tx, shop.merchant, scopes=SCOPES))
    await house.run("update pix_credential set permissions = :all", all=str(list(PERMISSIONS)).replace("'", '"'))
    return Shop(shop.merchant, key.reveal(), shop.client_id, shop.client_secret)


@pytest.mark.parametrize("case", [case for case in CASES if case.thing], ids=str)
async def test_an_object_of_another_merchant_is_not_there(house: House, case: Case) -> None:
    owner, stranger = await powerful(house, house.shop), await powerful(house, house.other)
    house.bank.has_desk = True  # nobody gets as far: whose an object is comes first
    names = await maker_of(case)(house, owner)
    before = await house.rows()

    foreign = await ask(house, case, stranger, named(case, names))
    unknown = await ask(house, case, stranger, named(case, [other(name) for name in names]))

    assert foreign.status == (200 if (case.api, case.path) in LISTS_BY_NAME else 404), foreign.body
    assert same_words(foreign) == same_words(unknown)
    assert await house.rows() == before
    await house.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.thing], ids=str)
async def test_an_object_of_the_other_mode_is_not_there(house: House, case: Case) -> None:
    names = await maker_of(case)(house, await powerful(house, house.shop))
    live = await powerful(house, await live_shop(house))

    answer = await ask(house, case, live, named(case, names))

    if (case.api, case.path) in LISTS_BY_NAME:
        assert not [name for name in names if name in answer.body.decode()]
    else:
        assert answer.status == 404, answer.body
    await house.close()


def maker_of(case: Case) -> Callable[[House, Shop], Awaitable[tuple[str, ...]]]:
    maker = THINGS.get((case.api, case.path)) or THINGS.get((case.api, case.thing))
    assert maker is not None, f"say in THINGS how to make what {case.api} {case.thing} names"
    return maker


def named(case: Case, names: Sequence[str]) -> str:
    """Return the path with what stands in its braces."""
    given = iter(names)
    return re.sub(r"\{\w+\}", lambda _: next(given), case.path)


@pytest.mark.parametrize("case", [case for case in CASES if case.permission not in ("", SANDBOX)], ids=str)
async def test_an_operation_without_its_permission_is_refused(house: House, case: Case) -> None:
    target = re.sub(r"\{\w+\}", "1", case.path)
    if case.api == "merchant":
        needed = "read" if case.permission == FEED else case.permission
        lacking = [scope for scope in SCOPES if scope != needed]
        key = await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=lacking))
        answer = await house.merchant(case.method, target, {} if case.method != "GET" else None, key=key.reveal())
        says = answer.json()["code"]
        assert says == ("INSUFFICIENT_PRIVILEGE" if case.permission == "admin" else "INSUFFICIENT_SCOPE")
    else:
        lacking = [permission for permission in PERMISSIONS if permission != case.permission]
        await house.run("update pix_credential set permissions = :p", p=str(lacking).replace("'", '"'))
        answer = await ask(house, case, house.shop, target)
        assert answer.json()["error"]["message"] == f"API key lacks permission: {case.permission}"
    assert answer.status == 403
    await house.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.permission == SANDBOX], ids=str)
async def test_a_live_credential_finds_no_sandbox(house: House, case: Case) -> None:
    live = await powerful(house, await live_shop(house))

    answer = await ask(house, case, live, re.sub(r"\{\w+\}", "1", case.path))

    assert answer.status == 404
    await house.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.permission], ids=str)
async def test_an_operation_without_a_credential_is_refused(house: House, case: Case) -> None:
    target = re.sub(r"\{\w+\}", "1", case.path)
    if case.api == "merchant":
        answer = await house.merchant(case.method, target, key=None)
    else:
        answer = await house.pix(case.method, target, headers={"authorization": None})

    assert answer.status == 401
    await house.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.method == "GET" and not case.thing], ids=str)
async def test_a_list_holds_nothing_of_others(house: House, case: Case) -> None:
    owner, stranger = await powerful(house, house.shop), await powerful(house, house.other)
    made = [name for maker in SEEN_IN_LISTS for name in await maker(house, owner)]

    answer = await ask(house, case, stranger, case.path)

    assert answer.status in (200, 400, 422), answer.body
    assert not [name for name in made if name in answer.body.decode()]
    await house.close()


async def live_shop(house: House) -> Shop:
    """Return a live merchant whose credential has no allow-list to pass."""
    shop = await open_shop(house, "Loja Viva", "123e4567-e12b-12d1-a456-426655440009")
    await house.run("update merchant set mode = :live where id = :id", live=int(Mode.LIVE), id=shop.merchant.id)
    for table in ("api_key", "pix_credential"):
        await house.run(
            f"update {table} set mode = :live where merchant_id = :id", live=int(Mode.LIVE), id=shop.merchant.id
        )
    await house.run("update pix_credential set check_ips = 0 where merchant_id = :id", id=shop.merchant.id)
    return Shop(shop.merchant, shop.key, shop.client_id, shop.client_secret)


def other(name: str) -> str:
    """Return a name of the same form that nobody has."""
    return name[:-1] + ("1" if name[-1] == "0" else "0") if not name.isdigit() else "99999999"


def same_words(answer: Response) -> Any:
    """Return what an answer says, without what differs in every answer."""
    body = answer.json()
    body.pop("request_id", None)
    return answer.status, body
