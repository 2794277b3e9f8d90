"""P17, P18: lists of a merchant with three hundred thousand of a million payments."""

import http.client
import json
import statistics
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from bench import seed
from bench.bar import Bar, Part
from bench.product import Install, Merchant, ProductFailed, Server, serving
from bench.results import Found
from bench.session import Session

TIMES = 40
WARM = 3
LISTS = ("transactions", "events")
PAGES = (1, 100, 10_000)
FAR = 250_000  # payments before page 10,000
FILTERS = (
    "transactions?per_page=25",
    "transactions?status=completed",
    "transactions?status=failed,cancelled",
    "transactions?gateway=pix&status=expired",
    "transactions?from=2024-06-01&to=2024-06-30",
    "transactions?reference=ORD-500001",
    "events?event=payment.completed&from=2024-06-01&to=2024-06-30",
)


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Ask one request at a time; the product is alone on the machine."""
    url = session.cluster.create("opentill_lists") if session.cluster else ""
    install = Install(session.work / "lists", url)
    merchant = seed.build(install)[0]
    with serving(install, **seed.KEPT) as server:
        lists = Lists(server, merchant)
        numbered = p95([ms for name in LISTS for page in PAGES for ms in lists.ask(f"{name}?page={page}")])
        filtered = p95([ms for query in FILTERS for ms in lists.ask(query)])
        near, far = (lists.ask(f"transactions?cursor={cursor(lists.newest() - back)}") for back in (0, FAR))
        ratio = statistics.median(far) / statistics.median(near)
    size = {"payments": seed.PAYMENTS, "requests": TIMES, "screens": 0}
    values = {("P18", "p95"): numbered, ("P17", "p95"): filtered, ("P17", "page 10,000 / page 1"): ratio}
    return [
        judged(bar, part, session, values[bar.id, part.name], size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]


class Lists:
    """One caller that keeps its connection."""

    def __init__(self, server: Server, merchant: Merchant) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {merchant.merchant_api_key}"}

    def ask(self, query: str) -> list[float]:
        """Return what each request took, in milliseconds."""
        for _ in range(WARM):
            self._get(query)
        taken = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            self._get(query)
            taken.append((time.perf_counter() - begin) * 1000)
        return taken

    def newest(self) -> int:
        found: int = self._get("transactions?per_page=1")["data"][0]["id"]
        return found

    def _get(self, query: str) -> dict[str, list[dict[str, int]]]:
        self._connection.request("GET", f"/api/v1/{query}", headers=self._headers)
        answer = self._connection.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200 or not body["data"]:
            raise ProductFailed(f"the list {query} answered {answer.status}: {str(body)[:300]}")
        told: dict[str, list[dict[str, int]]] = body
        return told


def cursor(row_id: int) -> str:
    return urlsafe_b64encode(str(row_id).encode()).decode().rstrip("=")


def p95(taken: Sequence[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.95)]


def judged(bar: Bar, part: Part, session: Session, value: float, size: dict[str, int]) -> Found:
    note = "admin pages are not among the lists" if bar.id == "P17" else ""
    return Found(bar, part, session.mode, part.verdict(value), value, size=size, note=note)
