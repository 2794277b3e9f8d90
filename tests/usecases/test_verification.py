"""The auditor: finds nothing in good books, and names the row in books that were changed behind the guards' back."""

import pytest

from opentill.db import Database, Tx
from opentill.ledger import verification as books
from opentill.payments import verification as payments
from opentill.payments.refunds.flow import give_back
from opentill.payments.refunds.service import Wish
from tests.usecases.payments.shop import Shop, open_shop


async def busy_shop(database: Database) -> Shop:
    shop = await open_shop(database)
    await shop.pays(await shop.orders("99.90"))
    await shop.pays(await shop.orders("10.00"), "short")
    await shop.pays(await shop.orders("10.00"), "declined")
    for units in (100_000, None):
        wish = Wish(shop.tools.ids.uuid7(), units)
        await give_back(shop.tools, 1, wish, owner=shop.merchant.owner)
    return shop


async def faults(database: Database) -> list[str]:
    return await database.read(lambda tx: [*books.find_faults(tx), *payments.find_faults(tx)])


def without_guards(tx: Tx) -> None:
    """Do as somebody with the database's own powers would."""
    if tx.dialect == "postgres":
        tx.run("set local session_replication_role = replica")
        return
    for row in tx.all("select name from sqlite_schema where type = 'trigger'"):
        tx.run(f"drop trigger {row['name']}")


async def test_good_books_have_no_faults(database: Database) -> None:
    await busy_shop(database)

    assert await faults(database) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update posting set units = units + 1 where journal_id = 1 and line = 0", "out of balance by 1"),
        ("update posting set units = units * 2 where journal_id = 1", "does not hold its amount"),
        ("delete from posting where journal_id = 1 and line = 1", "is out of balance"),
        ("update ledger_account set balance_units = 5 where kind = 'available'", "says 5"),
        ("update payment set status = 'pending', completed_at = null where id = 1", "although it is not completed"),
        ("update payment set units = units + 100 where id = 1", "does not hold its amount"),
        ("update payment set fee_units = 100 where id = 1", "another fee"),
        ("update receipt set origin = 'repeat' where payment_id = 1", "without exactly one receipt"),
        ("update receipt set units = units + 100 where payment_id = 2", "is not in the ledger with its amount"),
        ("delete from event where type = 'payment.completed'", "recorded as completed 0 times"),
        ("update journal set source_id = 'elsewhere' where id = 1", "completed without a journal"),
        ("update payment set refunding_units = refunded_units - 1, refunded_units = 0 where id = 1", "going back"),
        ("update payment set refunded_units = 500 where id = 1", "says that 500 went back"),
        ("update payment set detail = 'completed' where id = 1", "not all of it went back"),
        ("update receipt set refunding_units = 5 where payment_id = 1", "says that 5 of it goes back"),
        ("update refund set status = 'failed' where id = 1", "or in the ledger and not completed"),
        ("update refund set hold = 'held', status = 'pending', step = 'unknown', processed_at = null", "put aside"),
        ("update refund set payment_id = 2 where id = 1", "another merchant or payment"),
        ("delete from event where type = 'refund.created'", "0 times as refund.created"),
    ],
)
async def test_a_changed_row_is_named(database: Database, change: str, told: str) -> None:
    await busy_shop(database)

    def tamper(tx: Tx) -> None:
        without_guards(tx)
        tx.run(change)

    await database.write(tamper)

    found = await faults(database)
    assert any(told in fault for fault in found), found
