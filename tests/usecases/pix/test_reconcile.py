"""The daily match: every line the bank has otherwise than the books is found and named, and none is invented."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from random import Random

import pytest

from opentill.db import Database, Tx
from opentill.kernel.calendar import day_begins, day_of
from opentill.kernel.clock import HOUR, SECOND, Instant
from opentill.ledger import clearing
from opentill.ledger import queries as ledger
from opentill.payments.matching.flow import apply, match_day
from opentill.payments.matching.rules import Difference, Kind, Line, compare
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix import service as money
from opentill.pix import store as rows
from opentill.pix.identifiers import end_to_end_id
from opentill.pix.port import Page, PayoutCapabilities, ProviderReceipt, ReceiptPayer, StatementLine
from tests.fakes.payout_bank import PayoutBank
from tests.usecases.pix.shop import KEY, Shop, open_shop

pytestmark = pytest.mark.anyio

DAY = date(2026, 3, 10)
PAGE = 997  # lines
SPOILT = 0.01  # of the lines, for each way to spoil one


class Statement(PayoutBank):
    """A bank with a statement, in pages, a day each."""

    capabilities = PayoutCapabilities(statement=True)

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.scene)
        self.days: dict[date, list[StatementLine]] = {}

    async def statement(self, day: date, cursor: str | None = None) -> Page[StatementLine]:
        begin, lines = int(cursor or 0), self.days.get(day, [])
        more = str(begin + PAGE) if begin + PAGE < len(lines) else None
        return Page(tuple(lines[begin : begin + PAGE]), more)


def line(receipt: ProviderReceipt, centavos: int | None = None) -> StatementLine:
    amount = receipt.amount_centavos if centavos is None else centavos
    return StatementLine(receipt.e2e_id, receipt.settled_at, amount, receipt.e2e_id, None, None)


def arrivals(shop: Shop, chance: Random, count: int, at: Instant) -> list[ProviderReceipt]:
    return [
        ProviderReceipt(
            e2e_id=end_to_end_id(shop.scene.ids, "99999002", at),
            txid=None,
            amount_centavos=chance.randrange(200, 100_000, 2),
            key=KEY,
            settled_at=Instant(at + number),
            payer=ReceiptPayer(),
            message=None,
        )
        for number in range(count)
    ]


async def book(shop: Shop, receipts: Sequence[ProviderReceipt]) -> None:
    for begin in range(0, len(receipts), 500):

        def receive(tx: Tx, some: Sequence[ProviderReceipt] = receipts[begin : begin + 500]) -> None:
            account = rows.account(tx, shop.account_id)
            assert account is not None
            for receipt in some:
                money.receive(
                    tx, account, receipt, ids=shop.scene.ids, keyring=shop.scene.keyring, now=shop.clock.now()
                )

        await shop.db.write(receive)


async def in_clearing(shop: Shop) -> int:
    """Return the centavos the books say are at the bank."""
    pot, owner = clearing(f"pix:{shop.account_id}"), shop.merchant.owner
    return -(await shop.db.read(lambda tx: ledger.balance(tx, pot, "BRL", owner=owner).units)) // 100


@pytest.mark.checklist("L25")
@pytest.mark.bar("C12", gate=10_000, target=10_000, quick=400)
async def test_every_seeded_difference_is_found_and_named_and_none_invented(
    database: Database, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance, count = Random(bar_seed), max(1, int(bar_size * SPOILT))
    async with open_shop(database, tmp_path) as shop:
        shop.clock.advance(day_begins(date(2026, 3, 11)) + 7 * HOUR - shop.clock.now())
        receipts = arrivals(shop, chance, bar_size, Instant(day_begins(DAY) + HOUR))
        chance.shuffle(receipts)
        missing, extra, wrong, doubled, split = (receipts[n * count : (n + 1) * count] for n in range(5))
        honest = receipts[5 * count :]
        await book(shop, [receipt for receipt in receipts if receipt not in extra])

        bank = shop.payout_bank = Statement(shop)
        bank.days[DAY] = [
            *[line(receipt) for receipt in (*honest, *extra)],
            *[line(receipt, receipt.amount_centavos + chance.choice((-1, 1, 100))) for receipt in wrong],
            *[line(receipt) for receipt in doubled for _ in range(2)],
            *[line(receipt, part) for receipt in split for part in (1, receipt.amount_centavos - 1)],
        ]
        chance.shuffle(bank.days[DAY])
        account = await shop.db.read(lambda tx: rows.account(tx, shop.account_id))
        assert account is not None

        found = await match_day(shop.tools, account, DAY)

        seeded = {
            Kind.MISSING: missing,
            Kind.EXTRA: extra,
            Kind.WRONG_AMOUNT: wrong,
            Kind.DOUBLED: doubled,
            Kind.SPLIT: split,
        }
        expected = {(receipt.e2e_id, kind) for kind, some in seeded.items() for receipt in some}
        assert {(difference.name, difference.kind) for difference in found} == expected
        assert len(found) == 5 * count
        reviews = await shop.rows("select detail from review_item where reason like 'daily match: %'")
        assert len(reviews) == 5 * count

        # Read what is extra, move what is in doubt: then the books have what the bank has.
        known = {receipt.e2e_id: receipt for receipt in extra}
        shop.knows |= known
        for _ in range(2):  # the second time changes nothing
            await apply(shop.tools, account, DAY, found)
            while await pix_flow.confirm_due_hints(shop.tools):
                shop.passes(SECOND)
        assert await in_clearing(shop) == sum(listed.amount_centavos for listed in bank.days[DAY])
        assert len(await match_day(shop.tools, account, DAY)) == 4 * count  # they stay until the bank corrects them
        assert len(await shop.rows("select id from review_item where reason like 'daily match: %'")) == 5 * count
        await shop.books()
    bar_note(f"{bar_size} lines, {5 * count} differences of five kinds found, 0 invented")


async def test_a_bank_without_a_statement_is_matched_by_its_receipts(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=10 * 86_400)
    [arrived] = await shop.payer_pays(charge, notify="never")
    shop.passes(20 * SECOND)
    account = (await shop.hook())[1]
    today = day_of(shop.clock.now())

    assert await match_day(shop.tools, account, today) == [Difference(arrived, Kind.EXTRA, 0, 300_000)]
    await shop.sweeps()
    assert await match_day(shop.tools, account, today) == []


@pytest.mark.checklist("L25")
async def test_a_day_of_all_kinds_of_movements_agrees_with_the_sandbox_banks_statement(shop: Shop) -> None:
    shop.at_sandbox = True
    charge = await shop.charges("100.00")
    [arrived] = await shop.payer_pays(charge)
    await shop.is_told()
    await shop.gives_back(arrived, "10.00")
    await shop.sends("30.00")
    for _ in range(4):
        await shop.pays_out(after_us=2 * SECOND)
        await shop.rings()
        await shop.asks_about_refunds(after_us=10 * SECOND)
    assert await shop.books() == {"bank": -6_000, "available": 6_000}
    account = (await shop.hook())[1]

    assert await match_day(shop.tools, account, day_of(shop.clock.now())) == []

    await shop.run("update pix_payout set end_to_end_id = 'E99999001202603071530inventedoooo'")
    found = await match_day(shop.tools, account, day_of(shop.clock.now()))
    assert sorted((difference.kind, difference.ours_units, difference.bank_units) for difference in found) == [
        (Kind.EXTRA, 0, -300_000),
        (Kind.MISSING, -300_000, 0),
    ]


def test_a_movement_each_side_counts_to_another_day_is_no_difference() -> None:
    late, early = Line("late", 100), Line("early", 200)
    assert compare([late], [early], known=[early, late], near={"late"}) == []
    assert compare([late], [], known=[late]) == [Difference("late", Kind.MISSING, 100, 0)]


def test_one_name_stands_for_money_that_came_and_money_that_went() -> None:
    assert compare([Line("own", 100), Line("own", -100)], [Line("own", -100), Line("own", 100)]) == []
    assert compare([Line("own", 100)], [Line("own", -100), Line("own", 100)]) == [
        Difference("own", Kind.EXTRA, 0, -100)
    ]
