"""The Developer Hub helps: the bench names what is wrong with a request, and a delivery is sent again (bars.md U6)."""

from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from opentill.kernel.clock import unix_seconds
from opentill.kernel.secret import Secret
from opentill.webhooks.model import Dialect, SigningSecrets
from opentill.webhooks.signing import Attempt, headers
from tests.e2e.showroom import Showroom
from tests.e2e.test_a11y import guest

SECRET: Final = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY: Final = '{"event":"payment.completed","amount":"99.90"}'
RIGHT: Final = "The signature fits"


def signed(room: Showroom, dialect: Dialect, *, age_s: int = 0) -> str:
    """Return the headers of a request of ours, one a line."""
    made = headers(
        Attempt(
            dialect=dialect,
            event_id="evt_0197f3c20000a1b2c3d4e5f6",
            event_name="payment.completed",
            delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
            number=1,
            timestamp=unix_seconds(room.house.shop.clock.now()) - age_s,
            body=BODY.encode(),
        ),
        SigningSecrets(Secret(SECRET)),
    )
    return "\n".join(f"{name}: {value}" for name, value in made)


def without(lines: str, *names: str) -> str:
    return "\n".join(line for line in lines.splitlines() if not line.lower().startswith(names))


def mistakes(room: Showroom) -> dict[str, tuple[tuple[str, str, str], str]]:
    """Return what somebody pastes after each mistake (headers, body, secret), and the words that name it."""
    merchant, standard = signed(room, Dialect.MERCHANT), signed(room, Dialect.STANDARD)
    signature = next(line for line in merchant.splitlines() if line.lower().startswith("x-ownpay-signature:"))
    return {
        "no headers": (("", BODY, SECRET), "There are no headers."),
        "no secret": ((merchant, BODY, ""), "The secret is missing."),
        "a blank behind the secret": ((merchant, BODY, SECRET + " "), "begins or ends with a space"),
        "no signature among them": (
            ("content-type: application/json\nx-request-id: 1", BODY, SECRET),
            "None of the headers is a signature.",
        ),
        "a signature cut short": (
            (merchant.replace(signature, signature[:-5]), BODY, SECRET),
            "does not have its form",
        ),
        "another secret": ((merchant, BODY, "whsec_" + "B" * 43 + "="), "The signature does not fit."),
        "a body parsed and written again": ((merchant, BODY.replace(",", ", "), SECRET), "The signature does not fit."),
        "a line end behind the body": ((merchant, BODY + "\n", SECRET), "a line end too many"),
        "blanks around the body": ((merchant, f"  {BODY}  ", SECRET), "spaces around it"),
        "no timestamp": ((without(standard, "webhook-timestamp"), BODY, SECRET), "the timestamp is missing"),
        "no id": ((without(standard, "webhook-id"), BODY, SECRET), "webhook-id is missing"),
        "a timestamp of words": (
            (without(standard, "webhook-timestamp") + "\nwebhook-timestamp: yesterday", BODY, SECRET),
            "not a number of seconds",
        ),
    }


def checks(page: Page, place: str, pasted: tuple[str, str, str]) -> None:
    page.goto(place)
    for name, text in zip(("headers", "body", "secret"), pasted, strict=True):
        page.fill(f"#{name}", text)
    page.get_by_role("button", name="Check", exact=True).click()


@pytest.mark.bar("U6", part="mistakes named", gate=12, target=12)
def test_the_bench_names_twelve_mistakes(
    chromium: Browser, room: Showroom, bar_parts: Callable[[dict[str, float]], None]
) -> None:
    place = f"{room.url}{room.house.home}/developers/bench"
    unnamed = []
    with guest(chromium, room, "en") as context:
        page = context.new_page()
        checks(page, place, (signed(room, Dialect.MERCHANT), BODY, SECRET))
        expect(page.get_by_text(RIGHT)).to_be_visible()
        for mistake, (pasted, words) in mistakes(room).items():
            checks(page, place, pasted)
            if page.get_by_text(words).count() == 0:
                unnamed.append((mistake, page.locator(".timeline").all_inner_texts()))
    bar_parts({"mistakes named": len(mistakes(room)) - len(unnamed)})
    assert unnamed == []


@pytest.mark.bar("U6", part="clicks to resend", gate=2, target=1)
def test_a_delivery_is_sent_again_with_two_clicks_from_the_list(
    chromium: Browser, room: Showroom, bar_parts: Callable[[dict[str, float]], None]
) -> None:
    with guest(chromium, room, "en") as context:
        page = context.new_page()
        page.goto(f"{room.url}{room.house.home}/developers/deliveries")
        clicks = 0
        if page.get_by_role("button", name="Try once more now").count() == 0:
            page.locator("main table a").first.click()
            clicks += 1
        page.get_by_role("button", name="Try once more now").first.click()
        clicks += 1
        page.wait_for_load_state()
        expect(page.locator("main [role=status], main .notice").first).to_be_visible()
    bar_parts({"clicks to resend": clicks})
    assert clicks <= 2
