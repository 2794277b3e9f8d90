"""Rows of jobs over many deliveries: their place, their pace and their progress (webhooks.md §5.8)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import skip_locked
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import Recover

ACTIVATE: Final = "activate"
CANCEL: Final = "cancel"
UNHURRIED_ROWS: Final = 500  # a batch of a job that sends nothing by itself

COLUMNS: Final = """r.id, r.endpoint_id, r.selection, r.cursor_seq, r.until_seq, r.queued, r.skipped, r.state,
               r.created_by, r.created_at, r.next_at, r.rate_per_s, r.finished_at"""


class ReplayState(IntEnum):
    RUNNING = 0
    DONE = 1
    CANCELLED = 2


@dataclass(frozen=True, slots=True)
class Replay:
    """A job: what it selects, how far it is, and how fast it may go."""

    id: str
    endpoint_id: int
    selection: Mapping[str, Any]
    cursor: int  # the last event, or delivery, that is dealt with
    until: int
    queued: int
    skipped: int
    state: ReplayState
    created_by: str
    created_at: Instant
    next_at: Instant
    rate_per_s: int
    finished_at: Instant | None

    @property
    def kind(self) -> str:
        return str(self.selection["kind"])

    @property
    def since(self) -> Instant | None:
        since = self.selection.get("since")
        return None if since is None else Instant(since)


def insert(
    tx: Tx,
    replay_id: str,
    endpoint_id: int,
    selection: Mapping[str, Any],
    *,
    until: int,
    rate_per_s: int,
    created_by: str,
    now: Instant,
) -> None:
    tx.run(
        """
        insert into webhook_replay (id, endpoint_id, selection, until_seq, rate_per_s, created_by, created_at, next_at)
        values (:id, :endpoint_id, :selection, :until, :rate_per_s, :created_by, :now, :now)
        """,
        id=replay_id,
        endpoint_id=endpoint_id,
        selection=json.dumps(dict(selection), separators=(",", ":")),
        until=until,
        rate_per_s=rate_per_s,
        created_by=created_by,
        now=now,
    )


def insert_activating(
    tx: Tx,
    replay_id: str,
    endpoint_id: int,
    *,
    recover: Recover,
    since: Instant | None,
    until_id: int,
    created_by: str,
    now: Instant,
) -> None:
    """Have the rows an endpoint missed decided about, up to the delivery *until_id*."""
    selection = {"kind": ACTIVATE, "recover": str(recover), "since": since}
    insert(
        tx, replay_id, endpoint_id, selection, until=until_id, rate_per_s=UNHURRIED_ROWS, created_by=created_by, now=now
    )


def insert_cancelling(tx: Tx, replay_id: str, endpoint_id: int, *, created_by: str, now: Instant) -> None:
    """Have the rest of what waits for a deleted endpoint cancelled."""
    insert(
        tx, replay_id, endpoint_id, {"kind": CANCEL}, until=0, rate_per_s=UNHURRIED_ROWS, created_by=created_by, now=now
    )


def cancel_activating(tx: Tx, endpoint_id: int, *, now: Instant) -> None:
    """End the decision about missed rows: the endpoint was taken out of service again."""
    tx.run(
        """
        update webhook_replay set state = 2, finished_at = :now
         where endpoint_id = :endpoint_id and state = 0 and selection like '{"kind":"activate"%'
        """,
        endpoint_id=endpoint_id,
        now=now,
    )


def take_due(tx: Tx, *, now: Instant) -> Replay | None:
    """Lock and return a running job whose turn it is; those another worker has are left out."""
    row = tx.one_or_none(
        f"""
        select {COLUMNS} from webhook_replay r
         where r.state = 0 and r.next_at <= :now
         order by r.next_at limit 1{skip_locked(tx)}
        """,
        now=now,
    )
    return None if row is None else _as_replay(row)


def lock(tx: Tx, *, owner: Owner, replay_id: str) -> Replay | None:
    """Return one of an owner's jobs, locked."""
    of = " for update of r" if tx.dialect == "postgres" else ""
    row = tx.one_or_none(
        f"""
        select {COLUMNS} from webhook_replay r join webhook_endpoint e on e.id = r.endpoint_id
         where r.id = :id and e.merchant_id = :merchant_id and e.mode = :mode{of}
        """,
        id=replay_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return None if row is None else _as_replay(row)


def of_endpoint(tx: ReadTx, endpoint_id: int, *, limit: int) -> list[Replay]:
    """Return an endpoint's jobs, newest first."""
    found = tx.all(
        f"""
        select {COLUMNS} from webhook_replay r where r.endpoint_id = :id
         order by r.created_at desc, r.id desc limit :limit
        """,
        id=endpoint_id,
        limit=limit,
    )
    return [_as_replay(row) for row in found]


def advance(tx: Tx, replay_id: str, *, cursor: int, queued: int, skipped: int, next_at: Instant) -> None:
    """Note how far a job has come, and when it goes on."""
    tx.run(
        """
        update webhook_replay
           set cursor_seq = :cursor, queued = queued + :queued, skipped = skipped + :skipped, next_at = :next_at
         where id = :id
        """,
        id=replay_id,
        cursor=cursor,
        queued=queued,
        skipped=skipped,
        next_at=next_at,
    )


def finish(tx: Tx, replay_id: str, state: ReplayState, *, now: Instant) -> None:
    tx.run(
        "update webhook_replay set state = :state, finished_at = :now where id = :id",
        id=replay_id,
        state=int(state),
        now=now,
    )


def resume(tx: Tx, replay_id: str, *, now: Instant) -> None:
    """Let a cancelled job go on."""
    tx.run(
        "update webhook_replay set state = 0, finished_at = null, next_at = :now where id = :id and state = 2",
        id=replay_id,
        now=now,
    )


def has_due(tx: ReadTx, *, now: Instant) -> bool:
    """Tell whether a job's turn has come."""
    found = tx.one_or_none("select 1 as yes from webhook_replay where state = 0 and next_at <= :now limit 1", now=now)
    return found is not None


def _as_replay(row: Row) -> Replay:
    return Replay(
        id=row["id"],
        endpoint_id=int(row["endpoint_id"]),
        selection=json.loads(row["selection"]),
        cursor=int(row["cursor_seq"]),
        until=int(row["until_seq"]),
        queued=int(row["queued"]),
        skipped=int(row["skipped"]),
        state=ReplayState(row["state"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        next_at=row["next_at"],
        rate_per_s=int(row["rate_per_s"]),
        finished_at=row["finished_at"],
    )
