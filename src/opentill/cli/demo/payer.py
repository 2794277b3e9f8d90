"""A payer without JavaScript: opens the checkout, presses a button, follows where it leads."""

from urllib.parse import urljoin

from opentill.cli.demo.calls import Answer, curl
from opentill.cli.forms import find_form


def press(page_url: str, *, form_ends_with: str, **button: str) -> Answer:
    """Open a page, press a button of one of its forms, and return the page that follows."""
    page = curl(page_url)
    action, fields = find_form(page.text, form_ends_with)
    if not action:
        return page
    data = [part for name, value in {**fields, **button}.items() for part in ("--data-urlencode", f"{name}={value}")]
    pressed = curl(urljoin(page_url, action), *data)
    return curl(urljoin(page_url, pressed.headers["location"])) if "location" in pressed.headers else pressed
