"""Keeps the request log beside the requests: a request only leaves a line here; a loop stores them in batches."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from opentill.db import Database
from opentill.merchants import request_log
from opentill.merchants.request_log import AGENT_MAX, shown_path, shown_query
from opentill.web import metrics
from opentill.web.exchange import Call

WAITING_MAX: Final = 20_000  # lines; beyond them the oldest are dropped and counted
BATCH: Final = 500  # lines stored in one transaction: some three milliseconds of SQLite's writer


class RequestLog:
    """The lines of one process that are not stored yet."""

    def __init__(self) -> None:
        self._waiting: deque[Mapping[str, object]] = deque()

    def note(self, call: Call, surface: str, *, status: int, seconds: float) -> None:
        """Leave a line of a request whose caller is known. Costs no look at the database."""
        caller = call.caller
        if caller is None:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            metrics.request_log_dropped()
        operation = call.operation or ""
        agent = call.headers.get(b"user-agent", b"").decode("latin-1")[:AGENT_MAX]
        self._waiting.append(
            {
                **caller.owner.columns,
                "surface": surface,
                "caller_id": caller.id,
                "request_id": call.request_id,
                "method": call.method,
                "path": shown_path(call.path, operation),
                "query": shown_query(call.query_string),
                "operation": operation,
                "status": status,
                "code": call.code,
                "duration_us": int(seconds * 1_000_000),
                "ip": call.address,
                "agent": agent.replace("\0", ""),  # PostgreSQL's texts have none
                "idempotency_key": call.idempotency_key or "",
                "replayed": int(call.replayed),
                "created_at": call.arrived_at,
            }
        )

    async def store(self, db: Database) -> bool:
        """Store the oldest lines; tell whether more wait. They stay here until the commit."""
        batch = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
        if not batch:
            return False
        await db.write(lambda tx: request_log.store(tx, batch))
        stored = set(map(id, batch))
        while self._waiting and id(self._waiting[0]) in stored:  # the oldest may have been dropped meanwhile
            self._waiting.popleft()
        return bool(self._waiting)
