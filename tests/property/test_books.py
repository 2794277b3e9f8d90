"""Whatever happens, in whatever order and however often: the books balance, and say what the world paid."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from opentill.db import Database, ReadTx
from opentill.ledger import verification as ledger_auditor
from opentill.payments import verification as payments_auditor
from tests.property.market import OPERATIONS, Market
from tests.property.reckoning import Books, faults, name_of

LOOKS = 10  # how often the books are looked at on the way
AT_ONCE_MAX = 4
EVERYTHING_HAPPENS = 2_000  # operations after which each kind has had its turn


@pytest.mark.checklist("M55")
@pytest.mark.bar("C1", gate=20_000, target=1_000_000, quick=250)
async def test_the_books_balance_whatever_happens(
    database: Database, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    async with Market(database, tmp_path, seed=bar_seed) as market:
        for _ in range(LOOKS):
            await market.deal(bar_size // LOOKS, at_once_max=AT_ONCE_MAX)
            assert await faults_of(market) == []
        await market.settle()

        assert await faults_of(market, settled=True) == []
        if bar_size >= EVERYTHING_HAPPENS:
            assert {deed.name for deed in market.deeds} == {operation.__name__ for operation in OPERATIONS}
        bar_note(await summary(market))


async def test_the_reckoning_sees_money_that_is_not_there_and_money_that_is_wrong(
    database: Database, tmp_path: Path
) -> None:
    async with Market(database, tmp_path, seed=11) as market:
        await market.deal(120)
        books, truth, back = await database.read(Books), market.truth(), market.returned()
        paid = name_of(books.rows["receipt"][0])
        others = {name: units for name, units in truth.items() if name != paid}

    assert [*faults(books, truth, settled=False, returned=back)] == []
    assert [*faults(books, others, settled=False, returned=back)]
    assert [*faults(books, truth | {paid: truth[paid] + 100}, settled=False, returned=back)]
    assert [*faults(books, truth | {("pix", "1", "E1"): 100}, settled=True, returned=back)]


async def faults_of(market: Market, *, settled: bool = False) -> list[str]:
    """Return what the product's own auditor and the reckoning of this folder find wrong."""

    def audit(tx: ReadTx) -> list[str]:
        own = [*ledger_auditor.find_faults(tx), *payments_auditor.find_faults(tx)]
        return [*own, *faults(Books(tx), market.truth(), settled=settled, returned=market.returned())]

    return await market.db.read(audit)


async def summary(market: Market) -> str:
    def count(tx: ReadTx) -> str:
        books = Books(tx)
        states = Counter(f"{receipt['origin']} {receipt['state']}" for receipt in books.rows["receipt"])
        shown = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        currencies = {account["currency"] for account in books.rows["ledger_account"]}
        ends = Counter(refund["status"] for refund in books.rows["refund"])
        back = ", ".join(f"{number} {status}" for status, number in sorted(ends.items()))
        journals = f"{len(books.rows['journal'])} journals in {len(currencies)} currencies"
        return f"{journals}; receipts: {shown}; refunds: {back}"

    return await market.db.read(count)
