"""A payer without JavaScript: opens the checkout, presses a button, follows where it leads."""

from html.parser import HTMLParser
from urllib.parse import urljoin

from opentill.cli.demo.calls import Answer, curl


class _Forms(HTMLParser):
    """Collects each form's action and hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((named.get("action", ""), {}))
        elif tag == "input" and named.get("type") == "hidden" and self.forms:
            self.forms[-1][1][named.get("name", "")] = named.get("value", "")


def press(page_url: str, *, form_ends_with: str, **button: str) -> Answer:
    """Open a page, press a button of one of its forms, and return the page that follows."""
    page = curl(page_url)
    collected = _Forms()
    collected.feed(page.text)
    action, fields = next((form for form in collected.forms if form[0].endswith(form_ends_with)), ("", {}))
    if not action:
        return page
    data = [part for name, value in {**fields, **button}.items() for part in ("--data-urlencode", f"{name}={value}")]
    pressed = curl(urljoin(page_url, action), *data)
    return curl(urljoin(page_url, pressed.headers["location"])) if "location" in pressed.headers else pressed
