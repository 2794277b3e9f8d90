"""The forms of a page, as a payer without JavaScript finds them."""

from html.parser import HTMLParser


def find_form(page: str, action_ends_with: str) -> tuple[str, dict[str, str]]:
    """Return the action and hidden fields of a page's first form with such an action; no action if there is none."""
    collected = _Forms()
    collected.feed(page)
    return next((form for form in collected.forms if form[0].endswith(action_ends_with)), ("", {}))


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
