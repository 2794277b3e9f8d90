"""Every page in every language, theme and width, looked at in a real browser (bars.md U8, U10, U11, U16).

Contrast and forms are axe's to judge; widths, targets and what a page does while it loads are measured here. The
ordinary suite sees every page once, the languages, themes and widths taking turns; a bar's run sees all of them, one
test a language, so that `-n 3` shares them out.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, product
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.showroom import Showroom

AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text()
LANGUAGES: Final = ("pt-BR", "en", "es")
WIDTHS: Final = (360, 768, 1280)
Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LOOK: Final = """async (rules) => (await axe.run(document, {
  runOnly: rules, resultTypes: ["violations"], preload: false, iframes: false,  // what passed needs no report
})).violations.map(
  (found) => `${found.id}: ${found.nodes.slice(0, 3).map((node) => node.target.join(" ") + " " + node.html.slice(0, 90)
    + " " + node.any.map((check) => check.message).join("; ")).join(" | ")}`)"""
SIDEWAYS: Final = """document.documentElement.scrollWidth > innerWidth + 1
  ? [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .slice(0, 3).map((one) => one.outerHTML.slice(0, 90)) : []"""
TARGETS: Final = """[...document.querySelectorAll("a, button, input, select, textarea, summary")].map((one) => {
  const ticked = one.type === "checkbox" || one.type === "radio";
  const box = ((ticked && one.labels?.[0]) || one).getBoundingClientRect();
  const inText = one.tagName === "A" && getComputedStyle(one).display === "inline";
  const shown = box.width > 1 && box.height > 1 && one.type !== "hidden" && one.checkVisibility();
  return shown && !inText ? [Math.min(box.width, box.height), one.outerHTML.slice(0, 90)] : [Infinity, ""];
}).sort((a, b) => a[0] - b[0]).slice(0, 1)"""
WATCH: Final = """window.seen = { shift: 0, moved: [] };
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) {
    seen.shift += entry.value;
    const at = (box) => [box.x, box.y, box.width, box.height].map(Math.round).join(" ");
    seen.moved.push(...entry.sources.map((source) =>
      `${source.node?.outerHTML?.slice(0, 90)}: ${at(source.previousRect)} → ${at(source.currentRect)}`));
  }
})).observe({ type: "layout-shift", buffered: true });"""
FIRST_PAINT: Final = """({
  moved: seen.moved,
  blocking: performance.getEntriesByType("resource")
    .filter((entry) => entry.renderBlockingStatus === "blocking" && entry.initiatorType !== "link")
    .map((entry) => entry.name),
  late: [...document.querySelectorAll("body link[rel=stylesheet], body style")].map((one) => one.outerHTML),
  slow: [...document.scripts].filter((one) => one.src && one.type !== "module" && !one.defer && !one.async)
    .map((one) => one.outerHTML),
})"""


@dataclass(frozen=True)
class Sitting:
    """One way to look at pages."""

    language: str
    scheme: Scheme
    width: int


EVERY: Final = tuple(Sitting(*each) for each in product(LANGUAGES, SCHEMES, WIDTHS))
IN_TURN: Final = (
    Sitting("pt-BR", "dark", 360),
    Sitting("en", "light", 1280),
    Sitting("es", "dark", 1280),
    Sitting("pt-BR", "light", 360),
    Sitting("en", "dark", 360),
    Sitting("es", "light", 768),
)


def looks(room: Showroom, language: str, every: bool) -> Mapping[str, Sequence[Sitting]]:
    """Return how each page is looked at in a language."""
    turns = cycle(IN_TURN)
    sittings = {name: EVERY if every else (next(turns),) for name in room.sights}
    return {name: [one for one in sittings[name] if one.language == language] for name in sittings}


@contextmanager
def guest(chromium: Browser, room: Showroom, language: str, **options: Any) -> Iterator[BrowserContext]:
    """A browser with the cookies of the owner and of a guest of the portal."""
    context = chromium.new_context(locale=language, timezone_id="America/Sao_Paulo", reduced_motion="reduce", **options)
    context.add_cookies(room.cookies)  # type: ignore[arg-type]
    yield context
    context.close()


def shown(page: Page, room: Showroom, path: str) -> None:
    """Open a page and wait until its scripts have run; pages that ask on and on are left after their first question."""
    page.goto(room.url + path, wait_until="load")
    page.evaluate("document.fonts.ready")


def nothing(found: Mapping[str, Any]) -> None:
    """Fail with all that was found, where something was."""
    if found:
        pytest.fail(json.dumps(found, indent=1, ensure_ascii=False), pytrace=False)


@pytest.mark.bar("U8", gate=True, target=True, quick=False)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_has_a_finding_of_axe(
    chromium: Browser, room: Showroom, language: str, bar_size: bool, bar_value: Callable[[float], None]
) -> None:
    findings: dict[str, list[str]] = {}
    with guest(chromium, room, language) as context:
        context.add_init_script(AXE)
        page = context.new_page()
        for name, sittings in looks(room, language, bar_size).items():
            if sittings:
                shown(page, room, room.sights[name])
            for sitting in sittings:
                page.set_viewport_size({"width": sitting.width, "height": 860})
                page.emulate_media(color_scheme=sitting.scheme)
                for finding in page.evaluate(LOOK, list(RULES)):
                    findings.setdefault(finding, []).append(f"{name} ({sitting.scheme}, {sitting.width})")
    bar_value(len(findings))
    nothing({finding: where[:3] for finding, where in findings.items()})


@pytest.fixture(scope="module")
def on_a_phone(chromium: Browser, room: Showroom) -> tuple[dict[str, list[str]], tuple[float, str, str]]:
    """What is wider than a phone, by page, and the smallest thing to hit: its size, its page, what it is."""
    wide, least = {}, (float("inf"), "", "")
    with guest(chromium, room, "pt-BR", viewport={"width": 360, "height": 740}, has_touch=True) as context:
        page = context.new_page()
        for name, path in room.sights.items():
            shown(page, room, path)
            if found := page.evaluate(SIDEWAYS):
                wide[name] = found
            for size, which in page.evaluate(TARGETS):
                least = min(least, (size, name, which))
    return wide, least


@pytest.mark.bar("U11")
@pytest.mark.bar("U10", part="fits")
def test_on_a_phone_nothing_scrolls_sideways(on_a_phone: tuple[dict[str, list[str]], Any]) -> None:
    wide, _ = on_a_phone
    nothing(wide)


@pytest.mark.bar("U11", gate=24, target=44, quick=24)
def test_on_a_phone_everything_can_be_hit(
    on_a_phone: tuple[Any, tuple[float, str, str]], bar_value: Callable[[float], None]
) -> None:
    _, least = on_a_phone
    bar_value(round(least[0], 1))
    assert least[0] >= 24, least


@pytest.mark.bar("U16")
def test_a_page_stands_still_while_it_appears(chromium: Browser, room: Showroom) -> None:
    unsteady = {}
    with guest(chromium, room, "en", viewport={"width": 360, "height": 740}) as context:
        context.add_init_script(WATCH)
        page = context.new_page()
        for name, path in room.sights.items():
            shown(page, room, path)
            page.wait_for_timeout(60)  # what a script would move, it has moved by now
            found = {what: which for what, which in page.evaluate(FIRST_PAINT).items() if which}
            if found:
                unsteady[name] = found
    nothing(unsteady)
