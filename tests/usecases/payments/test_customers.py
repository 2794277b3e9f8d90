"""Customers: sealed, found by keyed hash, erased for good."""

import pytest

from opentill.db import Database
from opentill.kernel.errors import Conflict, NotFound
from opentill.payments.customers import queries, service
from opentill.payments.customers.model import Customer
from opentill.payments.model import Contact
from tests.usecases.payments.shop import Shop, open_shop

ANA = Contact("Ana Lima", "Ana@Example.com", "+55 11 98765-4321")


async def create(shop: Shop, contact: Contact = ANA) -> Customer:
    return await shop.tools.db.write(
        lambda tx: service.create(
            tx,
            contact,
            owner=shop.merchant.owner,
            merchant_uuid=shop.merchant.uuid,
            ids=shop.tools.ids,
            keyring=shop.tools.keyring,
            now=shop.tools.clock.now(),
        )
    )


async def find(shop: Shop, identifier: str) -> Customer | None:
    return await shop.tools.db.read(
        lambda tx: queries.find(tx, identifier, owner=shop.merchant.owner, keyring=shop.tools.keyring)
    )


async def test_a_customer_is_found_by_address_phone_and_uuid_however_they_are_written(database: Database) -> None:
    shop = await open_shop(database)
    ana = await create(shop)

    for name in ("ana@example.com", "ANA@EXAMPLE.COM", "+5511987654321", "+55 (11) 98765 4321", ana.uuid.upper()):
        assert await find(shop, name) == ana, name
    assert await find(shop, "5511987654321") is None  # without the plus it is another number
    assert await shop.events() == ["customer.created"]


async def test_of_several_customers_with_one_phone_the_newest_is_found(database: Database) -> None:
    shop = await open_shop(database)
    await create(shop, Contact("Ana", phone="+551130000000"))
    newest = await create(shop, Contact("Bia", phone="+55 11 3000-0000"))

    assert await find(shop, "+551130000000") == newest


async def test_one_address_is_one_customer_but_any_number_have_none(database: Database) -> None:
    shop = await open_shop(database)
    await create(shop)

    with pytest.raises(Conflict) as refused:
        await create(shop, Contact("Another", "ana@EXAMPLE.com"))
    assert refused.value.code == "CUSTOMER_EXISTS"

    await create(shop, Contact("Bia"))
    await create(shop, Contact("Bia"))
    assert await shop.events() == ["customer.created"] * 3


async def test_nothing_personal_is_readable_in_the_table(database: Database) -> None:
    shop = await open_shop(database)
    await create(shop)

    rows = await database.read(lambda tx: tx.all("select * from customer"))

    stored = " ".join(str(value) for row in rows for value in dict(row).values()).lower()
    assert not any(word in stored for word in ("ana lima", "ana@", "example.com", "98765432"))


@pytest.mark.checklist("M52")
async def test_an_erased_customer_is_gone_and_old_payments_show_nobody(database: Database) -> None:
    shop = await open_shop(database)
    payment = await shop.orders("10.00", contact=ANA)
    ana = await find(shop, "ana@example.com")
    assert ana is not None

    await database.write(lambda tx: service.erase(tx, ana.uuid, owner=shop.merchant.owner))

    for name in ("ana@example.com", "+5511987654321", ana.uuid):
        assert await find(shop, name) is None
    old = await shop.reads(payment)
    assert (old.amount, old.contact) == (payment.amount, Contact())
    assert (await shop.pays(old)).status == "completed"
    [row] = await database.read(lambda tx: tx.all("select sealed, email_hash, phone_hash from customer"))
    assert dict(row) == {"sealed": None, "email_hash": None, "phone_hash": None}
    with pytest.raises(NotFound):
        await database.write(lambda tx: service.erase(tx, ana.uuid, owner=shop.merchant.owner))


async def test_an_erased_address_is_free_again(database: Database) -> None:
    shop = await open_shop(database)
    first = await create(shop)
    await database.write(lambda tx: service.erase(tx, first.uuid, owner=shop.merchant.owner))

    second = await create(shop)

    assert second.uuid != first.uuid
    assert await find(shop, "ana@example.com") == second


async def test_another_merchants_customers_are_not_found(database: Database) -> None:
    shop = await open_shop(database)
    ana = await create(shop)
    other = await database.write(shop.scene.merchant)

    found = await database.read(lambda tx: queries.find(tx, ana.uuid, owner=other.owner, keyring=shop.tools.keyring))

    assert found is None
    with pytest.raises(NotFound):
        await database.write(lambda tx: service.erase(tx, ana.uuid, owner=other.owner))
