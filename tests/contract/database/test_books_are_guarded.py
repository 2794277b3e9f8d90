"""The database refuses bad books, whatever the code above it does: direct SQL as the application's own role.

What is refused must also leave the books as they were, and good books must still be possible.
"""

from collections.abc import Callable
from typing import Any

import pytest

from opentill.db import Database, DatabaseError, IntegrityViolation, ReadTx, Tx
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.payments.refunds.flow import give_back
from opentill.payments.refunds.service import Wish
from tests.contract.database.misdeeds import JOURNAL, Misdeed, misdeeds
from tests.usecases.payments.shop import Shop, open_shop

BOOKS = (
    "journal",
    "posting",
    "ledger_account",
    "payment",
    "gateway_session",
    "receipt",
    "refund",
    "audit_entry",
    "fee_rule",
)


class AcceptedError(Exception):
    """The database took a statement it must refuse. Raised inside the transaction, so that nothing stays of it."""


@pytest.mark.bar("C2", gate=40, target=40)
async def test_bad_books_are_refused(database: Database, bar_size: int, bar_note: Callable[[str], None]) -> None:
    facts = await books_with_everything(database)
    before = await database.read(read_books)
    tried = [misdeed for misdeed in misdeeds() if database.dialect in misdeed.on]

    accepted = [misdeed.what for misdeed in tried if await is_accepted(database, misdeed, facts)]

    assert accepted == []
    assert await database.read(read_books) == before
    assert len(tried) >= bar_size
    bar_note(f"{len(tried)} statements refused")


async def test_good_books_are_still_taken_after_all_those_attempts(database: Database) -> None:
    facts = await books_with_everything(database)
    for misdeed in misdeeds():
        if database.dialect in misdeed.on:
            await is_accepted(database, misdeed, facts)

    entries = '[["clearing","sandbox",-500],["available","",480],["fees","",20]]'
    good = {"mode": 1, "currency": "BRL", "kind": "test", "source_type": "test", "source_id": "1", "entries": entries}
    await database.write(lambda tx: tx.run(JOURNAL, merchant=facts["merchant"], **good))

    balances = {(row["kind"], row["gateway"]): row["balance_units"] for row in await accounts(database)}
    assert balances == {
        ("clearing", "sandbox"): -1_089_400,  # 999,000 paid, 99,900 held, 10,000 given back, and 500
        ("available", ""): 989_480,
        ("held", ""): 99_900,
        ("fees", ""): 20,
    }


async def is_accepted(database: Database, misdeed: Misdeed, facts: dict[str, Any]) -> bool:
    """Try one statement in a transaction of its own, and undo it if it works."""

    def attempt(tx: Tx) -> None:
        tx.run(misdeed.sql, **facts, **misdeed.params)
        raise AcceptedError(misdeed.what)

    try:
        await database.write(attempt)
    except AcceptedError:
        return True
    except DatabaseError as refusal:
        if not is_about_the_data(refusal):
            raise  # the statement itself is wrong, and proves nothing
    return False


def is_about_the_data(refusal: DatabaseError) -> bool:
    """Tell whether a constraint, a guard or a type said no; `22…` is PostgreSQL's class of values that cannot be."""
    return isinstance(refusal, IntegrityViolation) or str(getattr(refusal.__cause__, "sqlstate", ""))[:2] == "22"


async def books_with_everything(database: Database) -> dict[str, Any]:
    """Return the names of rows in books that hold a paid, a parked and an open payment, and an audit entry."""
    shop = await open_shop(database)
    paid = await shop.pays(await shop.orders("99.90"))
    await shop.pays(await shop.orders("10.00"), "short")
    waiting = await shop.pays(await shop.orders("5.00"), "pending")
    wish = Wish(shop.tools.ids.uuid7(), 10_000)
    refund = await give_back(shop.tools, paid.id, wish, owner=paid.owner)
    await database.write(lambda tx: leave_traces(tx, shop))
    other = await database.write(lambda tx: shop.scene.merchant(tx, "Loja Verde"))
    ids = {row["kind"]: row["id"] for row in await accounts(database)}
    journals = await database.read(lambda tx: tx.all("select id from journal where source_id = :id", id=paid.uuid))
    return {
        "merchant": shop.merchant.id,
        "other": other.id,
        "paid": paid.id,
        "paid_uuid": paid.uuid,
        "paid_reference": paid.reference,
        "paid_money": paid.gateway_ref,
        "open": waiting.id,
        "refund": refund.id,
        "journal": journals[0]["id"],
        "available": ids["available"],
        "held": ids["held"],
    }


def leave_traces(tx: Tx, shop: Shop) -> None:
    now = shop.scene.clock.now()
    audit.write(tx, Change("test", "test", "merchant.created", shop.merchant.uuid), now=now)
    tx.run("insert into fee_rule (basis_points, created_at) values (0, :now)", now=now)


async def accounts(database: Database) -> list[dict[str, Any]]:
    return await database.read(lambda tx: [dict(row) for row in tx.all("select * from ledger_account order by id")])


def read_books(tx: ReadTx) -> dict[str, list[dict[str, Any]]]:
    return {table: [dict(row) for row in tx.all(f"select * from {table}")] for table in BOOKS}
