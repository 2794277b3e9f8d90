"""Keeps the request log beside the requests: a request only leaves a line here; a loop stores them in batches."""

from collections import deque
from typing import Final

from opentill.db import Database
from opentill.kernel.clock import Instant
from opentill.merchants import request_log
from opentill.merchants.request_log import AGENT_MAX, Asked, Caller, shown_path, shown_query
from opentill.web import metrics
from opentill.web.exchange import Call

WAITING_MAX: Final = 20_000  # lines; beyond them the oldest are dropped and counted
BATCH: Final = 250  # lines stored in one transaction: some two milliseconds of SQLite's writer

Line = tuple[Caller, str, str, str, str, bytes, str, int, str, int, str, str, str, bool, Instant]


class RequestLog:
    """The lines of one process that are not stored yet."""

    def __init__(self) -> None:
        self._waiting: deque[Line] = deque()

    def note(self, call: Call, surface: str, *, status: int, seconds: float) -> None:
        """Leave a line of a request whose caller is known. Costs no look at the database."""
        caller = call.caller
        if caller is None:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            metrics.request_log_dropped()
        self._waiting.append(
            (
                caller,
                surface,
                call.request_id,
                call.method,
                call.path,
                call.query_string,
                call.operation or "",
                status,
                call.code,
                int(seconds * 1_000_000),
                call.address,
                call.headers.get(b"user-agent", b"").decode("latin-1")[:AGENT_MAX],
                call.idempotency_key or "",
                call.replayed,
                call.arrived_at,
            )
        )

    async def store(self, db: Database) -> bool:
        """Store the oldest lines; tell whether more wait. They stay here until the commit."""
        batch = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
        if not batch:
            return False
        asked = [_as_asked(line) for line in batch]
        await db.write(lambda tx: request_log.store(tx, asked))
        stored = set(map(id, batch))
        while self._waiting and id(self._waiting[0]) in stored:  # the oldest may have been dropped meanwhile
            self._waiting.popleft()
        return bool(self._waiting)


def _as_asked(line: Line) -> Asked:
    caller, surface, request_id, method, path, query, operation, status, code, took, ip, agent, key, again, at = line
    return Asked(
        id=0,
        owner=caller.owner,
        surface=surface,
        caller_id=caller.id,
        request_id=request_id,
        method=method,
        path=shown_path(path, operation),
        query=shown_query(query),
        operation=operation,
        status=status,
        code=code,
        duration_us=took,
        ip=ip,
        agent=agent.replace("\0", ""),  # PostgreSQL's texts have none
        idempotency_key=key,
        replayed=again,
        at=at,
    )
