"""A long export outlives the page it was asked for on, and adds up to the ledger (bars.md C17)."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from opentill import ledger
from opentill.db import Tx
from opentill.kernel.money import currency, parse
from opentill.ledger import AVAILABLE, FEES, Journal, explorer
from opentill.workers.exports import write_page
from tests.e2e.showroom import Showroom
from tests.e2e.showroom import opened as opened_showroom
from tests.e2e.test_a11y import guest

JOURNALS = 2 * explorer.PAGE_MAX + 7  # of two lines each: several pages of two accounts


@pytest.fixture
def busy_room(tmp_path: Path, sqlite_template: Path) -> Iterator[Showroom]:
    """An installation of its own whose ledger takes a while to write."""
    with opened_showroom(tmp_path, sqlite_template) as room:
        room.writes(lambda tx: post_many(tx, room))
        yield room


def post_many(tx: Tx, room: Showroom) -> None:
    shop = room.house.shop
    amount = parse("0.07", currency("BRL"))
    for number in range(JOURNALS):
        entries = (AVAILABLE.debit(amount), FEES.credit(amount))
        ledger.post(tx, Journal(shop.merchant.owner, "test", "test", str(number), entries), now=shop.clock.now())


def books(room: Showroom) -> dict[tuple[str, str], Decimal]:
    owner = room.house.shop.merchant.owner
    accounts = room.do(room.house.shop.db.read(lambda tx: explorer.accounts(tx, owner=owner)))
    return {(row["kind"], row["gateway"]): Decimal(row["balance_units"]) / 10_000 for row in accounts}


def newest(page: Page) -> list[str]:
    """Return what the list says of the export that was asked for last."""
    return page.locator("#exports tbody tr").first.locator("td").all_inner_texts()


def test_an_export_is_written_while_its_page_is_left_and_adds_up_to_the_ledger(
    chromium: Browser, busy_room: Showroom
) -> None:
    room, deps = busy_room, busy_room.house.shop.deps
    exports = f"{room.url}{room.house.home}/exports"
    room.house.shop.clock.advance(1_000_000)  # after those the room came with
    with guest(chromium, room, "en", accept_downloads=True) as context:
        page = context.new_page()
        page.goto(exports)
        page.get_by_label("What").select_option("ledger")
        page.get_by_label("From").fill("2026-03-01")
        page.get_by_label("Until").fill("2026-03-31")
        page.get_by_role("button", name="Write it").click()
        expect(page.get_by_text("You may leave this page")).to_be_visible()

        assert room.do(write_page(deps))
        expect(page.locator("#exports tbody tr").first).to_contain_text("as far as")  # the page looks by itself
        page.goto(room.url + room.house.home)
        while room.do(write_page(deps)):
            pass
        page.goto(exports)
        expect(page.locator("#exports tbody tr").first).to_contain_text("done")
        lines = int(newest(page)[3].replace(",", ""))
        with page.expect_download() as waiting:
            page.locator("#exports tbody tr").first.get_by_role("link", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))

    assert len(rows) == lines > JOURNALS * 2
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["account"], row["gateway"]] += Decimal(row["amount"])
    assert sums == books(room)
    assert sum(sums.values()) == 0
