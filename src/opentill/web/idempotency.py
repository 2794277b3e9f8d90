"""Idempotency keys: what was asked under one key happens once (bars.md §8, merchant-api.md §5, pix-api.md §9).

A use case of one transaction runs inside `once`. One that leaves the process in between says `claim` in its first
transaction and `finish` or `release` in its last; until then, and no longer than `LOCK_S`, the key is taken.

How long a key is taken and kept is measured by one clock, the database's: processes on hosts whose clocks differ
agree. `now` is None where it is to be asked; SQLite is in this process, so its clock is the caller's (I24).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeVar

from opentill.db import ReadTx, Row, Tx, Unavailable
from opentill.kernel.clock import DAY, SECOND, Instant
from opentill.kernel.errors import Conflict
from opentill.kernel.failpoints import reach
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring

KEPT: Final = DAY  # from first use
LOCK_S: Final = 60  # a key whose owner died is free after this
WAIT_MS: Final = 2_000  # for another process that works under the same key
ANSWERED_MAX: Final = 10_000  # keys
LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL's name for having waited that long

REUSED: Final = "IDEMPOTENCY_KEY_REUSED"
IN_PROGRESS: Final = "IDEMPOTENCY_IN_PROGRESS"

A = TypeVar("A")

_HERE: Final = """
         where merchant_id = :merchant_id and mode = :mode and surface = :surface and scope = :scope and key = :key"""
_ROW: Final = """:merchant_id, :mode, :surface, :scope, :key, :fingerprint, :state, :status, :sealed_body, :chosen,
                   {now}, {now} + :lock, {now} + :kept"""
_TAKE: Final = """
            insert into idempotency (merchant_id, mode, surface, scope, key, fingerprint, state, status, sealed_body,
                                     chosen, created_at, locked_until_at, expires_at)
            {row}
            on conflict (merchant_id, mode, surface, scope, key) do update
               set fingerprint = excluded.fingerprint, state = excluded.state, status = excluded.status,
                   sealed_body = excluded.sealed_body,
                   chosen = coalesce(case when idempotency.expires_at > excluded.created_at then idempotency.chosen end,
                                     excluded.chosen),
                   created_at = excluded.created_at, locked_until_at = excluded.locked_until_at,
                   expires_at = excluded.expires_at
             where idempotency.expires_at <= excluded.created_at or idempotency.state = 'free'
                or (idempotency.state = 'running' and idempotency.locked_until_at <= excluded.created_at)
            returning chosen, locked_until_at
"""
_GIVEN: Final = "cast(:now as bigint)"
_DATABASE: Final = "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)"
# PostgreSQL waits for another transaction that is about to take the key; this statement says for how long.
_PATIENT: Final = f"""with patience as materialized (select set_config('lock_timeout', '{WAIT_MS}', true)) """
_TAKING: Final = {
    "sqlite": _TAKE.format(row=f"values ({_ROW.format(now=':now')})"),
    "postgres": _PATIENT + _TAKE.format(row=f"select {_ROW.format(now=_GIVEN)} from patience where true"),
    "postgres alone": _PATIENT + _TAKE.format(row=f"select {_ROW.format(now=_DATABASE)} from patience where true"),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the outcome of one request is kept: a caller's key within an owner and surface."""

    owner: Owner
    surface: Literal["merchant", "pix", "form"]
    key: str
    fingerprint: str
    scope: str = ""  # PIX: method and path; keys of two operations do not meet
    compares: bool = True  # refuse another request under the same key, instead of answering as before
    kept: int = KEPT  # microseconds

    @property
    def seal_context(self) -> str:
        return f"idempotency.sealed_body/{self.owner.merchant_id}/{int(self.owner.mode)}/{self.surface}/{self.key}"

    @property
    def _place(self) -> dict[str, object]:
        return {
            "merchant_id": self.owner.merchant_id,
            "mode": int(self.owner.mode),
            "surface": self.surface,
            "scope": self.scope,
            "key": self.key,
        }


class AnsweredLately:
    """Keys this process answered lately. A repeat under one of them is looked up before anything is done for it.

    Only a hint, for speed: other processes have theirs, and the oldest are forgotten.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[object, ...], None] = {}

    def __contains__(self, slot: Slot) -> bool:
        return self._name(slot) in self._slots

    def add(self, slot: Slot) -> None:
        if len(self._slots) >= ANSWERED_MAX:
            del self._slots[next(iter(self._slots))]
        self._slots[self._name(slot)] = None

    @staticmethod
    def _name(slot: Slot) -> tuple[object, ...]:
        return slot.owner, slot.surface, slot.scope, slot.key


class Finished(NamedTuple):
    """An answer, and whether it is one given before."""

    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is ours until `finish` or `release`."""

    chosen: Mapping[str, Any]  # an earlier try's, to go on with, or else what `claim` chose, if it was to
    until: Instant  # then somebody else may take it


def fingerprint(method: str, target: str, canonical_body: bytes) -> str:
    """Return the SHA-256 that tells whether two requests are the same. *target* is the path with its query."""
    return hashlib.sha256(f"{method}\0{target}\0".encode() + canonical_body).hexdigest()


def once(
    tx: Tx, slot: Slot, work: Callable[[], tuple[int, bytes]], *, keyring: Keyring, now: Instant | None
) -> Finished:
    """Do *work* and keep its answer, or return the answer kept before. All of it is one transaction.

    Raises Conflict where the key belongs to another request, or to one that takes longer than we wait; what *work*
    raises undoes the claim, so the key is free again.
    """
    claimed = claim(tx, slot, keyring=keyring, now=now)
    if isinstance(claimed, Finished):
        return claimed
    status, body = work()
    finish(tx, slot, status, body, keyring=keyring)
    return Finished(status, body, replayed=False)


def keep(
    tx: Tx, slot: Slot, status: int, sealed_body: str, *, keyring: Keyring, now: Instant | None
) -> Finished | None:
    """Keep an answer that is known before the work is done; return the one kept before, if there is one.

    Cheaper than `once` by a statement. The work follows in the same transaction, unless an earlier answer came back.
    Raises Conflict as `once` does.
    """
    if _take(tx, slot, "done", now=now, status=status, sealed_body=sealed_body) is not None:
        reach("key.kept")
        return None
    return _kept(tx, slot, keyring=keyring, now=now)


def mark(tx: Tx, slot: Slot, *, now: Instant | None) -> str | None:
    """Use a key up without an answer to keep; return the fingerprint of whoever used it before, if somebody did."""
    if _take(tx, slot, "done", now=now) is not None:
        return None
    row = tx.one_or_none(f"select fingerprint from idempotency {_HERE}", **slot._place)
    if row is None:  # it was removed between the two statements
        raise _in_progress()
    fingerprint: str = row["fingerprint"]
    return fingerprint


def claim(
    tx: Tx, slot: Slot, *, chooses: Mapping[str, Any] | None = None, keyring: Keyring, now: Instant | None
) -> Claimed | Finished:
    """Take the key, or return the answer kept under it. Raises Conflict as `once` does.

    The ids it *chooses* for the operation are written down, unless an earlier try did so: a repeat goes on with those.
    """
    claimed, _ = claim_and_find(tx, slot, _nothing, chooses=chooses, keyring=keyring, now=now)
    return claimed


def claim_and_find(
    tx: Tx,
    slot: Slot,
    find: Callable[[Tx], A],
    *,
    chooses: Mapping[str, Any] | None = None,
    keyring: Keyring,
    now: Instant | None,
) -> tuple[Claimed | Finished, A]:
    """Claim, and *find* something with one statement, in one round trip where that is possible. Raises as `claim`."""
    chosen = json.dumps(chooses) if chooses else None
    taken, found = _take_and_find(tx, slot, "running", find, now=now, chosen=chosen)
    if taken is None:
        return _kept(tx, slot, keyring=keyring, now=now), found
    reach("key.claimed")
    return Claimed(json.loads(taken["chosen"] or "{}"), taken["locked_until_at"]), found


def look(tx: ReadTx, slot: Slot, *, keyring: Keyring, now: Instant | None) -> Finished | None:
    """Return the answer kept under a key, None if the key is free. Raises Conflict as `once` does."""
    row = tx.one_or_none(
        f"""
        select fingerprint, state, status, sealed_body, expires_at > {_now(now)} as lives,
               locked_until_at > {_now(now)} as locked from idempotency
         where merchant_id = :merchant_id and mode = :mode and surface = :surface and scope = :scope and key = :key
        """,
        **({} if now is None else {"now": now}),
        **slot._place,
    )
    if row is None or not row["lives"] or row["state"] == "free":
        return None
    if slot.compares and row["fingerprint"] != slot.fingerprint:
        raise Conflict(REUSED, "This Idempotency-Key was used with a different request.")
    if row["state"] == "done":
        return Finished(row["status"], keyring.open(row["sealed_body"], slot.seal_context), replayed=True)
    if row["locked"]:
        raise _in_progress()
    return None


def choose(tx: Tx, slot: Slot, chosen: Mapping[str, Any]) -> None:
    """Write down ids chosen for the operation, so that a repeat goes on with them instead of choosing others."""
    tx.run(f"update idempotency set chosen = :chosen {_HERE}", chosen=json.dumps(chosen), **slot._place)


def finish(tx: Tx, slot: Slot, status: int, body: bytes, *, keyring: Keyring) -> None:
    """Keep the answer to a claimed key."""
    tx.defer(
        f"update idempotency set state = 'done', status = :status, sealed_body = :sealed_body {_HERE}",
        status=status,
        sealed_body=keyring.seal(body, slot.seal_context),
        **slot._place,
    )
    reach("key.answered")


def release(tx: Tx, slot: Slot, claimed: Claimed, *, forget: bool = False) -> None:
    """Free a key that is still ours. A repeat goes on with the chosen ids, unless we *forget* them."""
    tx.run(
        f"""update idempotency set state = 'free', chosen = {"null" if forget else "chosen"} {_HERE}
           and state = 'running' and locked_until_at = :locked_until""",
        locked_until=claimed.until,
        **slot._place,
    )


def purge(tx: Tx, *, now: Instant | None, rows_max: int) -> int:
    """Remove keys that count as absent already, those first that have for longest; return how many."""
    return tx.run(
        f"""
        delete from idempotency
         where (merchant_id, mode, surface, scope, key) in (
               select merchant_id, mode, surface, scope, key from idempotency
                where expires_at <= {_now(now)} order by expires_at limit :most)
           and expires_at <= {_now(now)}  -- asked again of the row once it is locked: a request may renew it
        """,
        most=rows_max,
        **({} if now is None else {"now": now}),
    )


def _now(now: Instant | None) -> str:
    """Return the SQL of the present: the time that was given, or the database's."""
    return _DATABASE if now is None else ":now"


def _take(tx: Tx, slot: Slot, state: str, *, now: Instant | None, **columns: Any) -> Row | None:
    """Write the key's row, over one that is free, given up or expired; None if it is somebody's."""
    taken, _ = _take_and_find(tx, slot, state, _nothing, now=now, **columns)
    return taken


def _take_and_find(
    tx: Tx,
    slot: Slot,
    state: str,
    find: Callable[[Tx], A],
    *,
    now: Instant | None,
    status: int | None = None,
    sealed_body: str | None = None,
    chosen: str | None = None,
) -> tuple[Row | None, A]:
    def take(tx: Tx) -> Row | None:
        return tx.one_or_none(
            _TAKING[tx.dialect if now is not None else f"{tx.dialect} alone"],
            fingerprint=slot.fingerprint,
            state=state,
            status=status,
            sealed_body=sealed_body,
            chosen=chosen,
            lock=LOCK_S * SECOND,
            kept=slot.kept,
            **({} if now is None else {"now": now}),
            **slot._place,
        )

    try:
        return tx.together(take, find)
    except Unavailable as unavailable:
        if getattr(unavailable.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise _in_progress() from unavailable
        raise


def _nothing(_tx: Tx) -> None:
    pass


def _kept(tx: Tx, slot: Slot, *, keyring: Keyring, now: Instant | None) -> Finished:
    kept = look(tx, slot, keyring=keyring, now=now)
    if kept is None:  # its owner gave up between the two statements
        raise _in_progress()
    return kept


def _in_progress() -> Conflict:
    return Conflict(IN_PROGRESS, "A request with this Idempotency-Key is still being processed.")
