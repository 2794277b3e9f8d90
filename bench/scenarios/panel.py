"""P22: every screen of the panel at a merchant with three hundred thousand of a million payments.

One operator signs in and follows links from the first page: of every screen one address is kept, and each way a
list is filtered or turned over counts as a screen. Then each is asked for again and again, one request at a time. The
newest payment is an hour old, so that the overview has its thirty days.
"""

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from html import unescape
from http.client import HTTPConnection
from urllib.parse import parse_qsl, urlencode, urlsplit

from bench import seed
from bench.audit import query
from bench.bar import Bar, Part
from bench.product import Install, ProductFailed, Server, serving
from bench.results import Found
from bench.session import Session

TIMES = 30
WARM = 3
SCREENS_MAX = 120
SETTLED_US = 3_600_000_000  # the newest payment is an hour old: the lists count no younger ones
PASSWORD = "quatro cavalos pastam"
PERSON = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD, "repeated": PASSWORD}
NAMES = re.compile(r"(?<=/)(?:[0-9a-f-]{36}|\d+|[a-z]+_[0-9a-f_]+|merchant-\d+|bench-[0-9a-f-]+)(?=/|$)", re.I)
LINK = re.compile(r'<a\b[^>]*?\bhref="([^"]+)"')
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Ask for one page at a time; the product is alone on the machine."""
    url = session.cluster.create("opentill_panel") if session.cluster else ""
    install = Install(session.work / "panel", url)
    seed.build(install, session.data_set, time.time_ns() // 1_000 - SETTLED_US - session.data_set * seed.STEP_US)
    with serving(install, **seed.KEPT) as server:
        link = install.run("setup").split()[-1]
        visitor = Visitor(server)
        visitor.signs_up(urlsplit(link).path)
        [(slug,)] = query(install, "select slug from merchant where id = 1")
        home = f"/admin/m/{slug}"
        pages = {place: visitor.times(place) for place in visitor.finds_screens(home)}
        searches = {word: visitor.times(f"{home}/search?{urlencode({'q': word})}") for word in ids_of(install)}
    others = {without_names(place): p95(taken) for place, taken in pages.items() if place != home}
    found_ids = {word: p95(taken) for word, taken in searches.items()}
    found = {
        "any page p95": (max(others.values()), slowest(others)),
        "dashboard": (p95(pages[home]), ""),
        "global search": (max(found_ids.values()), slowest(found_ids)),
    }
    size = {"payments": session.data_set, "requests": TIMES, "screens": len(pages)}
    return [
        judged(bar, part, session, *found[part.name], size) for bar in wanted for part in bar.parts_in(session.mode)
    ]


class Visitor:
    """An operator with one browser."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._cookies: dict[str, str] = {}

    def signs_up(self, path: str) -> None:
        """Make the first operator by the link of the console."""
        hidden = dict(HIDDEN.findall(self._ask("GET", path)[1]))
        if self._ask("POST", path, urlencode(hidden | PERSON))[0] != 303:
            raise ProductFailed("the first operator was not made")

    def finds_screens(self, home: str) -> Sequence[str]:
        """Return one address of each screen that links lead to."""
        kept, waiting = {shape(home): home}, [home]
        while waiting and len(kept) < SCREENS_MAX:
            for place in links(self._page(waiting.pop(0))):
                if shape(place) not in kept:
                    kept[shape(place)] = place
                    waiting.append(place)
        return [place for place in kept.values() if self._ask("GET", place)[0] == 200]

    def times(self, place: str) -> list[float]:
        """Return what each request took, in milliseconds."""
        for _ in range(WARM):
            self._page(place)
        taken = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            self._page(place)
            taken.append((time.perf_counter() - begin) * 1000)
        return taken

    def _page(self, place: str) -> str:
        status, text = self._ask("GET", place)
        if status not in (200, 303):
            raise ProductFailed(f"{place} answered {status}")
        return text

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("set-cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, text


def slowest(times: Mapping[str, float]) -> str:
    """Name the three that took longest."""
    worst = sorted(times, key=lambda name: -times[name])[:3]
    return "slowest: " + ", ".join(f"{name} {times[name]:.0f} ms" for name in worst)


def links(text: str) -> Sequence[str]:
    """Return where a page leads within the panel, files left out."""
    found = (unescape(address).partition("#")[0] for address in LINK.findall(text))
    return [place for place in found if place.startswith("/admin") and not urlsplit(place).path.endswith(".csv")]


def shape(place: str) -> tuple[str, tuple[str, ...]]:
    """Return which screen an address shows: its path without names, and which parameters it has."""
    parts = urlsplit(place)
    return without_names(parts.path), tuple(sorted(name for name, _ in parse_qsl(parts.query)))


def without_names(path: str) -> str:
    return NAMES.sub("*", path)


def ids_of(install: Install) -> Sequence[str]:
    """Return names of one payment in the middle, by every kind of name it has, and one that nobody has."""
    sql = "select reference, uuid, order_id from payment where merchant_id = 1 order by id limit 1 offset {middle}"
    [(half,)] = query(install, "select count(*) / 2 from payment where merchant_id = 1")
    [names] = query(install, sql.format(middle=half))
    [(event,)] = query(install, "select id from event where merchant_id = 1 order by seq limit 1")
    return [*names, event, "nobody@example.com", "E99999900202607010000abcdefghijk"]


def p95(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def judged(bar: Bar, part: Part, session: Session, value: float, note: str, size: dict[str, int]) -> Found:
    return Found(bar, part, session.mode, part.verdict(value), round(value, 1), size=size, note=note)
