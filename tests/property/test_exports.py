"""Every sheet adds up to the ledger, whatever happened (bars.md C17): random books, whole and in random spans."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from opentill.db import Database, ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.money import currency
from opentill.kernel.owner import Owner
from opentill.ledger import explorer
from opentill.payments.exports import cells, service
from opentill.payments.exports.model import Wanted
from opentill.payments.exports.sheets import SHEETS
from tests.property.market import Market

DEEDS = 60  # that make a book
SPANS = 3  # of each book, besides all of it
Line = Mapping[str, str]
Sums = Mapping[tuple[str, ...], Decimal]


@pytest.mark.bar("C17", gate=200, target=2_000, quick=2)
async def test_every_sheet_adds_up_to_the_ledger_of_its_span(
    database: Database, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    rng, lines = Random(bar_seed), 0
    async with Market(database, tmp_path, seed=bar_seed) as market:
        for _ in range(max(1, bar_size // len(market.shops))):
            began = market.clock.now()
            await market.deal(DEEDS)
            for shop in market.shops:
                spans = [Wanted()]
                for _ in range(SPANS):
                    since, until = sorted(rng.randint(began, market.clock.now() + 1) for _ in range(2))
                    spans.append(Wanted(Instant(since), Instant(until)))
                for wanted in spans:
                    lines += await market.db.read(
                        lambda tx, shop=shop, wanted=wanted: held_against_the_ledger(  # type: ignore[misc]
                            tx, wanted, shop.merchant.owner, market.clock.now()
                        )
                    )
    bar_note(f"{lines} lines")


def held_against_the_ledger(tx: ReadTx, wanted: Wanted, owner: Owner, now: Instant) -> int:
    """Compare the sheets of an owner and a span with the books; return how many lines they have."""
    sheets = {name: list(lines_of(tx, name, wanted, owner, now)) for name in SHEETS}
    since, until = wanted.since or Instant(0), wanted.before or explorer.NEVER
    totals = explorer.totals_between(tx, owner=owner, since=since, until=until)
    books = {(row["kind"], row["gateway"], row["currency"]): value(row["units"], row["currency"]) for row in totals}
    ledger = sheets["ledger"]
    assert nonzero(sums(ledger, "amount", "account", "gateway", "currency")) == nonzero(books)
    fees = {(code,): units for (kind, _, code), units in books.items() if kind == "fees"}
    assert nonzero(sums(sheets["fees"], "fee", "currency")) == nonzero(fees)
    if wanted == Wanted():  # what was asked for in a span may be booked after it
        assert_what_was_sent_is_booked(sheets)
    return sum(map(len, sheets.values()))


def assert_what_was_sent_is_booked(sheets: Mapping[str, list[Line]]) -> None:
    ledger, fees = sheets["ledger"], sheets["fees"]
    refunds = [line for line in sheets["refunds"] if line["status"] == "completed"]
    booked = [line for line in ledger if line["what"] == "refund.completed" and line["account"] == "clearing"]
    assert sums(refunds, "charge_amount", "refund_id", "charge_currency") == sums(
        booked, "amount", "source_id", "currency"
    )
    back = {key: -units for key, units in sums(of(fees, "refund"), "fee", "source_id").items()}
    assert nonzero(sums(refunds, "fee_returned", "refund_id")) == back

    payouts = [line for line in sheets["payouts"] if line["status"] in ("completed", "returned")]
    left = [line for line in of(ledger, "payout") if line["account"] == "clearing"]
    assert sums(payouts, "amount", "payout_id") == sums(left, "amount", "source_id")
    assert nonzero(sums(payouts, "fee", "payout_id")) == sums(of(fees, "payout"), "fee", "source_id")
    returned = [line for line in of(ledger, "payout_return") if line["account"] == "available"]
    assert sum(Decimal(line["amount_returned"]) for line in payouts) == sum(Decimal(one["amount"]) for one in returned)

    plain = {line["payment_id"] for line in sheets["payments"] if not line["charge_currency"]}
    paid = [line for line in sheets["payments"] if line["payment_id"] in plain and line["completed_at"]]
    took = [line for line in of(fees, "payment") if line["source_id"] in plain]
    assert nonzero(sums(paid, "fee", "payment_id")) == sums(took, "fee", "source_id")


def lines_of(tx: ReadTx, name: str, wanted: Wanted, owner: Owner, now: Instant) -> Iterable[Line]:
    """Read a sheet to its end, as a spreadsheet would."""
    sheet, cursor, text = SHEETS[name], "", cells.lines([SHEETS[name].head])
    while True:
        page = sheet.page(tx, wanted, cursor, owner, now)
        text += cells.lines(page.lines)
        if page.cursor is None:
            return csv.DictReader(io.StringIO(text.decode()))
        cursor = page.cursor


def of(lines: Iterable[Line], source: str) -> list[Line]:
    return [line for line in lines if line["source"] == source]


def sums(lines: Iterable[Line], column: str, *by: str) -> dict[tuple[str, ...], Decimal]:
    found: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for line in lines:
        found[tuple(line[name] for name in by)] += Decimal(line[column])
    return dict(found)


def nonzero(found: Sums) -> dict[tuple[str, ...], Decimal]:
    return {key: units for key, units in found.items() if units}


def value(units: int, code: str) -> Decimal:
    return Decimal(int(units)).scaleb(-currency(code).exponent - 2)


async def test_an_export_is_written_page_by_page_whoever_reads_it_twice(database: Database, tmp_path: Path) -> None:
    async with Market(database, tmp_path, seed=5) as market:
        await market.deal(80)
        [shop, *_] = market.shops
        owner, now, deps = shop.merchant.owner, market.clock.now(), market.dependencies
        export = await database.write(
            lambda tx: service.start(tx, "ledger", Wanted(), owner=owner, by="operator:1", ids=deps.ids, now=now)
        )
        while found := await database.read(service.under_way):
            page = await database.read(lambda tx, found=found: service.next_page(tx, found, now=now))  # type: ignore[misc]
            for _ in range(2):  # a second process has read the same page
                await database.write(
                    lambda tx, found=found, page=page: service.keep(  # type: ignore[misc]
                        tx, found, page, keyring=deps.keyring, now=now
                    )
                )
        written = await database.read(lambda tx: service.find(tx, export.id, owner=owner))
        assert written is not None
        assert written.parts > 1
        text = b"".join(
            [
                await database.read(
                    lambda tx, number=number: service.part(  # type: ignore[misc]
                        tx, export.id, number, owner=owner, keyring=deps.keyring
                    )
                )
                for number in range(written.parts)
            ]
        )
        whole = await database.read(lambda tx: list(lines_of(tx, "ledger", Wanted(), owner, now)))
        assert list(csv.DictReader(io.StringIO(text.decode()))) == whole
        assert written.lines == len(whole) > 0
