"""The panel on a phone: its menu needs no script."""

from playwright.sync_api import Browser

from tests.e2e.showroom import Showroom
from tests.e2e.test_a11y import guest


def test_the_menu_opens_and_closes_without_a_script(chromium: Browser, room: Showroom) -> None:
    phone = {"width": 360, "height": 740}
    with guest(chromium, room, "en", viewport=phone, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(room.url + room.house.home)
        assert not page.get_by_role("link", name="Ledger").is_visible()
        page.get_by_role("link", name="Menu").click()
        assert page.get_by_role("link", name="Ledger").is_visible()
        page.get_by_role("link", name="Close").click()
        assert not page.get_by_role("link", name="Ledger").is_visible()
