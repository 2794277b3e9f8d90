"""The request log: who asked what, when, and how it ended (merchant-api.md §16.1, bars.md I25).

No bodies and no secrets. An address keeps the names of things and drops what may name a person: the identifier of a
customer, and the value of any parameter that is not known to be plain.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import append
from opentill.db.growing import first_id
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner

PAGE_MAX: Final = 200
AGENT_MAX: Final = 200  # characters
HIDDEN: Final = "…"
PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
PARTS_MAX: Final = 12  # of a path, the empty one before its first slash included
PLAIN_PATH: Final = re.compile(rf"(?:/(?:{PLAIN.pattern})?){{1,{PARTS_MAX - 1}}}", re.ASCII)
PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.:,+* -]{1,64}", re.ASCII)
PLAIN_PARAMETERS: Final = frozenset(
    {
        *("page", "per_page", "cursor", "limit", "from", "to", "start_date", "end_date"),
        *("status", "gateway", "event", "type", "endpoint_id", "payment_id"),
    }
)
NAMING: Final = "/customers/{identifier}"  # an e-mail, a phone number, or a UUID
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
COLUMNS: Final = {
    **{"merchant_id": "bigint", "mode": "smallint", "surface": "text", "caller_id": "bigint", "request_id": "text"},
    **{"method": "text", "path": "text", "query": "text", "operation": "text", "status": "smallint", "code": "text"},
    **{"duration_us": "bigint", "ip": "text", "agent": "text", "idempotency_key": "text", "replayed": "smallint"},
    "created_at": "bigint",
}
SURFACES: Final = {"merchant": "/api/v1", "pix": "/api/external"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose credential a request showed: an API key, or a credential of the PIX API."""

    owner: Owner
    id: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the log. The newest have the highest ids."""

    id: int
    owner: Owner
    surface: str  # merchant or pix
    caller_id: int
    request_id: str
    method: str
    path: str
    query: str
    operation: str
    status: int
    code: str  # why it was refused; empty: it was not
    duration_us: int
    ip: str
    agent: str
    idempotency_key: str
    replayed: bool
    at: Instant

    @property
    def address(self) -> str:
        """Return path and query as they are shown, with the prefix of the API."""
        return SURFACES[self.surface] + self.path + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; None means anything."""

    surface: str | None = None
    caller_id: int | None = None  # with its surface
    idempotency_key: str | None = None
    request_id: str | None = None
    method: str | None = None
    status_from: int | None = None  # 400 shows what was refused
    since: Instant | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What a credential was used for within a day."""

    requests: int
    refused: int  # of these, for the rate limit


def shown_path(path: str, operation: str) -> str:
    """Return a path without what may name a person or be a secret."""
    if operation != NAMING and PLAIN_PATH.fullmatch(path):  # as nearly all are
        return path
    if operation == NAMING and not UUID.fullmatch(path.rpartition("/")[2]):
        return f"/customers/{HIDDEN}"
    return "/".join(part if not part or PLAIN.fullmatch(part) else HIDDEN for part in path.split("/")[:PARTS_MAX])


def shown_query(query: bytes) -> str:
    """Return a query with the values of plain parameters only."""
    if not query:
        return ""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None)[:20]
    shown = []
    for name, value in pairs:
        plain = name in PLAIN_PARAMETERS and PLAIN_VALUE.fullmatch(value)
        shown.append(f"{name if PLAIN.fullmatch(name) else HIDDEN}={value if plain or not value else HIDDEN}")
    return "&".join(shown)


def store(tx: Tx, requests: Sequence[Mapping[str, object]]) -> int:
    """Add requests to the log, each with its COLUMNS; return how many."""
    return append(tx, "api_request", COLUMNS, requests)


def page(
    tx: ReadTx, *, owner: Owner, filters: Filters = Filters(), before: int | None = None, limit: int = 50
) -> Sequence[Asked]:
    """Return an owner's requests, newest first, older than the id *before*; at most PAGE_MAX."""
    clauses, given = _narrowed(tx, filters)
    rows = tx.all(
        f"""
        select * from api_request
         where merchant_id = :merchant_id and mode = :mode and id < :before{clauses}
         order by id desc limit :limit
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        before=2**62 if before is None else before,
        limit=min(limit, PAGE_MAX),
        **given,
    )
    return [_as_asked(row) for row in rows]


def one(tx: ReadTx, request_number: int, *, owner: Owner) -> Asked | None:
    """Return one of an owner's requests by its number in the log."""
    row = tx.one_or_none(
        "select * from api_request where id = :id and merchant_id = :merchant_id and mode = :mode",
        id=request_number,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return _as_asked(row) if row else None


def use(tx: ReadTx, surface: str, caller_id: int, *, owner: Owner, now: Instant) -> Use:
    """Return what a credential was used for in the last 24 hours, as far as the log reaches back."""
    row = tx.one_or_none(
        """
        select count(*) as requests, coalesce(sum(case when status = 429 then 1 else 0 end), 0) as refused
          from api_request
         where surface = :surface and caller_id = :caller_id and id >= :first and created_at >= :since
           and merchant_id = :merchant_id and mode = :mode
        """,
        surface=surface,
        caller_id=caller_id,
        first=first_id(tx, "api_request", Instant(now - DAY)),
        since=now - DAY,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return Use(row["requests"], row["refused"]) if row else Use(0, 0)


def as_curl(asked: Asked, public_url: str, *, name: str) -> str:
    """Return the request as a command for a shell. *name* is the key's prefix or the client id.

    What is not in the log, the caller fills in: the rest of the key, the body, and whatever is shown as `…`.
    """
    parts = ["curl", "-X", asked.method, public_url + asked.address]
    if asked.surface == "pix":
        parts += ["-H", f"Authorization: ApiKey {name}:YOUR_CLIENT_SECRET"]
    else:
        parts += ["-H", f"Authorization: Bearer op_{name}.REST_OF_YOUR_KEY"]
    if asked.idempotency_key:
        parts += ["-H", f"Idempotency-Key: {asked.idempotency_key}"]
    if asked.method not in ("GET", "HEAD", "DELETE"):
        parts += ["-H", "Content-Type: application/json", "--data", "@body.json"]
        if asked.surface == "pix":
            parts += ["-H", "HMAC: SIGNATURE_OF_THE_BODY"]
    return shlex.join(parts)


def purge(tx: Tx, *, before: Instant, rows_max: int, most: int) -> int:
    """Delete the oldest requests: those from before an instant, and what there is beyond *rows_max*; say how many."""
    bounds = tx.one_or_none("select coalesce(max(id), 0) - :rows_max as last from api_request", rows_max=rows_max)
    return tx.run(
        """
        delete from api_request where id in (
          select id from (select id, created_at from api_request order by id limit :most) oldest
           where created_at < :before or id <= :last)
        """,
        most=most,
        before=before,
        last=bounds["last"] if bounds else 0,
    )


def _narrowed(tx: ReadTx, filters: Filters) -> tuple[str, dict[str, Any]]:
    """Return what the filters add to a condition, with its parameters."""
    wanted: Mapping[str, tuple[str, object]] = {
        "surface": ("surface = :surface", filters.surface),
        "caller_id": ("caller_id = :caller_id", filters.caller_id),
        "idempotency_key": ("idempotency_key = :idempotency_key", filters.idempotency_key or None),
        "request_id": ("request_id = :request_id", filters.request_id),
        "method": ("method = :method", filters.method),
        "status_from": ("status >= :status_from", filters.status_from),
        "first": ("id >= :first", None if filters.since is None else first_id(tx, "api_request", filters.since)),
        "since": ("created_at >= :since", filters.since),
    }
    chosen = {name: pair for name, pair in wanted.items() if pair[1] is not None}
    more = " and idempotency_key <> ''" if "idempotency_key" in chosen else ""
    return "".join(f" and {clause}" for clause, _ in chosen.values()) + more, {
        name: value for name, (_, value) in chosen.items()
    }


def _as_asked(row: Row) -> Asked:
    return Asked(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        surface=row["surface"],
        caller_id=row["caller_id"],
        request_id=row["request_id"],
        method=row["method"],
        path=row["path"],
        query=row["query"],
        operation=row["operation"],
        status=row["status"],
        code=row["code"],
        duration_us=row["duration_us"],
        ip=row["ip"],
        agent=row["agent"],
        idempotency_key=row["idempotency_key"],
        replayed=bool(row["replayed"]),
        at=row["created_at"],
    )
