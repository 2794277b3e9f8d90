"""Forgetting in time: attempts, payload bytes, tests and events, a few rows a transaction (webhooks.md §9.3).

Every function is one short transaction that says how far it came, so that whoever calls it can pause between two and
no delivery waits for it. What was purged leaves a sealed checkpoint; what is unfinished is never purged.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.failpoints import reach
from opentill.kernel.secret import Keyring, same
from opentill.webhooks.store import retention as store
from opentill.webhooks.store.retention import Checkpoint

ROWS_MAX: Final = 200  # in one transaction
TEST_DAYS: Final = 7
SEAL: Final = "event_checkpoint"
NOTHING_BEFORE: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Terms:
    """How many days each kind of row is kept."""

    attempt_days: int = 30
    payload_days: int = 30
    event_days: int = 90


@dataclass(frozen=True, slots=True)
class Round:
    """One transaction's work: how many rows went, and where the next one goes on; None: nothing older is left."""

    removed: int = 0
    cursor: int | None = None


OVER: Final = Round()


def purge_attempts(tx: Tx, *, terms: Terms, now: Instant, most: int = ROWS_MAX) -> Round:
    """Delete the oldest attempts of the log. On PostgreSQL whole days are dropped instead (`partitions`)."""
    if tx.dialect == "postgres":
        return OVER
    removed = store.delete_attempts(tx, before=_before(now, terms.attempt_days), most=most)
    store.give_back_pages(tx, most)
    reach("retain.batch")
    return Round(removed, 0 if removed == most else None)


def purge_payloads(tx: Tx, cursor: int, *, terms: Terms, now: Instant, most: int = ROWS_MAX) -> Round:
    """Delete payload bytes of events that finished long ago. They are rendered again if anyone asks."""
    if not store.take_turn(tx):
        return OVER
    before = _before(now, terms.payload_days)
    found = [row for row in store.payloads_after(tx, cursor, most) if row["occurred_at"] < before]
    if not found:
        return OVER
    removed = store.delete_payloads(tx, (row["event_seq"] for row in found), before=before)
    reach("retain.batch")
    return Round(removed, int(found[-1]["event_seq"]) if len(found) == most else None)


def purge_events(
    tx: Tx,
    cursor: int,
    *,
    terms: Terms,
    keyring: Keyring,
    now: Instant,
    tests: bool = False,
    most: int = ROWS_MAX,
) -> Round:
    """Delete old events with their finished deliveries, and seal what they were in a checkpoint.

    What is held for one is cancelled first, and the event goes the next time; with anything due or sending it stays.
    """
    if not store.take_turn(tx):
        return OVER
    before = _before(now, TEST_DAYS if tests else terms.event_days)
    found = store.events_after(tx, cursor, most, tests=tests)
    old = [int(row["seq"]) for row in found if row["occurred_at"] < before]
    if not old:
        return OVER
    busy = store.unfinished(tx, old)
    if busy:
        store.cancel_held(tx, busy, now=now)
    gone = [seq for seq in old if seq not in busy]
    if gone:
        store.insert_checkpoint(tx, _checkpoint(tx, gone, keyring, now))
        store.delete_events(tx, gone)
    reach("retain.batch")
    return Round(len(gone), old[-1] if len(old) == len(found) == most else None)


def _before(now: Instant, days: int) -> Instant:
    return Instant(now - days * DAY)


# Checkpoints.


def _checkpoint(tx: Tx, seqs: list[int], keyring: Keyring, now: Instant) -> Checkpoint:
    last = store.last_checkpoint(tx)
    chain = NOTHING_BEFORE if last is None else last.chain
    for row in store.digests(tx, seqs):
        facts = [row[name] for name in ("seq", "id", "merchant_id", "mode", "type", "object_type", "object_id")]
        told = json.dumps([*facts, row["occurred_at"], hashlib.sha256(bytes(row["doc"])).hexdigest()])
        chain = hashlib.sha256(f"{chain}{told}".encode()).hexdigest()
    return Checkpoint(
        first_seq=seqs[0],
        last_seq=seqs[-1],
        events=len(seqs),
        chain=chain,
        seal=_seal(keyring, seqs[0], seqs[-1], len(seqs), chain),
        purged_at=now,
    )


def _seal(keyring: Keyring, first: int, last: int, events: int, chain: str) -> str:
    return keyring.keyed_hash(f"{first}\0{last}\0{events}\0{chain}", SEAL)


def find_false_checkpoints(tx: ReadTx, *, keyring: Keyring) -> Iterator[str]:
    """Say which checkpoints of purged events were not made by this installation, or were changed."""
    for one in store.checkpoints(tx):
        if not same(one.seal, _seal(keyring, one.first_seq, one.last_seq, one.events, one.chain)):
            yield f"the checkpoint of purged events {one.first_seq} to {one.last_seq} is not sealed by us"
