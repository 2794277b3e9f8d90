"""An endpoint that fails is seen on the first page and set right in three clicks (bars.md U14).

When the owner is told, and that nothing is lost, is tested on a virtual clock in tests/usecases/webhooks.
"""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.showroom import Showroom
from tests.e2e.test_a11y import guest

ENDED = "update webhook_endpoint set state = 2, state_reason = 'failing' where public_id = :endpoint"


@pytest.mark.bar("U14", gate=3, target=2)
def test_an_endpoint_that_was_disabled_is_found_and_recovered(
    chromium: Browser, room: Showroom, bar_value: Callable[[float], None]
) -> None:
    endpoint = room.house.names["endpoint"]
    room.writes(lambda tx: tx.run(ENDED, endpoint=endpoint))
    with guest(chromium, room, "en") as context:
        page = context.new_page()
        page.goto(room.url + room.house.home)
        expect(page.get_by_text("Endpoints that do not take their webhooks: 1")).to_be_visible()
        ways = (
            page.locator("main").get_by_role("link", name="Endpoints"),
            page.locator(f"main a[href$='{endpoint}']").first,
            page.get_by_role("button", name="Activate, and send what was missed"),
        )
        for way in ways:
            way.click()
            page.wait_for_load_state()
        expect(page.locator("h1 .chip")).not_to_have_text("disabled")
    bar_value(len(ways))
