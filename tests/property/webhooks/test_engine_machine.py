"""Whatever happens, in whatever order: the invariants of the delivery engine hold (webhooks.md §16.4)."""

import sqlite3
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from opentill.db.database import Options as DatabaseOptions
from opentill.db.migrations import migrate
from opentill.db.sqlite import Transaction, connect
from opentill.events import Event, record
from opentill.kernel.clock import MINUTE, SECOND, Instant, ManualClock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import SeededIds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Keyring, MasterKeys
from opentill.merchants import service as merchants
from opentill.webhooks import completion, planning, queries, queue, replaying, rules, service
from opentill.webhooks.direct import Slots
from opentill.webhooks.model import (
    BOUNDS,
    DeliveryState,
    Dialect,
    Endpoint,
    EndpointState,
    Job,
    Options,
    Ordering,
    Recover,
    Result,
)
from opentill.webhooks.queries import orphans
from opentill.webhooks.schedules import schedule_of
from tests.contract.webhooks import documents as doc

KEYRING = Keyring(MasterKeys({"k1": bytes(32)}, current="k1", pepper=bytes(32)))
START = Instant(1_784_000_000_000_000)
OBJECTS = ("payment-1", "payment-2", "payment-3")
OUTCOMES = ("ok", "ok", "http_4xx", "http_5xx", "timeout_answer", "slow_down", "gone", "dropped", "blocked_address")
KINDS = (
    Options(max_in_flight=2, schedule=(60, 300)),
    Options(max_in_flight=3, ordering=Ordering.STRICT, schedule=(60,)),
    Options(max_in_flight=2, ordering=Ordering.NONE, schedule=()),
)
UNFINISHED = (DeliveryState.DUE, DeliveryState.SENDING)


class DeliveryEngine(RuleBasedStateMachine):
    """The planner, two workers that may die at any moment, and owners who change their minds."""

    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "opentill.db"
        migrate(f"sqlite:///{path}")
        self.connection = connect(path, DatabaseOptions())
        self.connection.execute("pragma synchronous = off")
        self.tx = Transaction(self.connection)
        self.clock = ManualClock(START)
        self.ids = SeededIds(7, self.clock)
        self.chance = Random(7)
        self.bytes: dict[tuple[int, str], bytes] = {}
        self.final: dict[int, tuple[Any, ...]] = {}
        merchant = merchants.create_merchant(
            self.tx, "Loja", mode=Mode.SANDBOX, ids=self.ids, keyring=KEYRING, now=self.clock.now()
        )
        self.owner = merchant.owner
        self.endpoints: list[Endpoint] = [self._register(n, options) for n, options in enumerate(KINDS)]
        self.planned_for: dict[int, set[int]] = {}
        self.resends: Counter[int] = Counter()

    def _register(self, n: int, options: Options) -> Endpoint:
        endpoint, _ = service.create_endpoint(
            self.tx,
            bounds=BOUNDS,
            owner=self.owner,
            dialect=Dialect.MERCHANT,
            url=f"https://shop-{n}.example/hook",
            options=options,
            ids=self.ids,
            keyring=KEYRING,
            now=self.clock.now(),
        )
        return endpoint

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()
            self.folder.cleanup()

    # What may happen.

    @rule(object_id=st.sampled_from(OBJECTS))
    def record(self, object_id: str) -> None:
        record(
            self.tx,
            Event(
                type="payment.completed",
                merchant_type="payment.completed",
                owner=self.owner,
                object_type="payment",
                object_id=object_id,
                at=self.clock.now(),
                document={"merchant": doc.MERCHANT, "payment": doc.payment(uuid=object_id)},
            ),
            ids=self.ids,
        )

    @rule(target=claims, room=st.integers(0, 4))
    def plan(self, room: int) -> Any:
        wanted = {e.id for e in self._endpoints() if e.state is not EndpointState.DELETED}
        for row in self._rows("select seq from event where plan_state = 0 and audience = 0"):  # notices go elsewhere
            self.planned_for[row["seq"]] = wanted
        slots = Slots("worker-1", room, {}, room) if room else None
        planned = planning.plan(self.tx, ids=self.ids, keyring=KEYRING, now=self.clock.now(), slots=slots)
        assert planned.faults == {}
        self._check_claims(planned.jobs)
        return planned.jobs

    @rule(target=claims, worker=st.sampled_from(["worker-1", "worker-2"]), free=st.integers(1, 6))
    def claim(self, worker: str, free: int) -> Any:
        now = self.clock.now()
        grants = rules.share_out(
            queries.waiting(self.tx), now=now, free=free, room_of={}, room_default=64, after_merchant=0
        )
        due = {row["id"]: row["due_at"] for row in self._rows("select id, due_at from webhook_delivery")}
        jobs = tuple(queue.claim(self.tx, grants, worker=worker, now=now)) if grants else ()
        assert all(due[job.claimed.id] <= now for job in jobs)
        self._check_claims(jobs)
        return jobs

    def _check_claims(self, jobs: tuple[Job, ...]) -> None:
        """Check that no claim jumps the queue of its object."""
        for job in jobs:
            assert job.endpoint.state is EndpointState.ACTIVE
            (own,) = self._rows("select ordering from webhook_delivery where id = :id", id=job.claimed.id)
            earlier = self._rows(
                """
                select attempts from webhook_delivery
                 where endpoint_id = :endpoint_id and id < :id and state in (0, 1) and ordering > 0
                   and object_key = (select object_key from webhook_delivery where id = :id)
                """,
                endpoint_id=job.endpoint.id,
                id=job.claimed.id,
            )
            if own["ordering"] == Ordering.STRICT:
                assert earlier == []
            elif own["ordering"] == Ordering.FIRST_TRY and job.claimed.attempts == 0:
                assert all(row["attempts"] > 0 for row in earlier)

    @rule(jobs=claims, outcome=st.sampled_from(OUTCOMES))
    def report(self, jobs: tuple[Job, ...], outcome: str) -> None:
        """A worker reports; if it was slow, or reports twice, its claims are no longer its own."""
        if not jobs:
            return
        now = self.clock.now()
        held = {(row["id"], row["claim_gen"]) for row in self._rows("select * from webhook_delivery where state = 1")}
        results = [self._result(job, outcome, now) for job in jobs]
        done = completion.complete(self.tx, results, ids=self.ids, chance=self.chance)
        assert done.fenced == {result.delivery_id for result in results if result.claim not in held}

    def _result(self, job: Job, outcome: str, now: Instant) -> Result:
        claimed = job.claimed
        return Result(
            delivery_id=claimed.id,
            endpoint_id=claimed.endpoint_id,
            claim_gen=claimed.claim_gen,
            attempts=claimed.attempts,
            attempts_max=claimed.attempts_max,
            lost=claimed.lost,
            schedule_from=claimed.schedule_from,
            outcome=outcome,
            started_at=now,
            duration_us=1000,
        )

    @rule(wait=st.sampled_from([SECOND, 30 * SECOND, 61 * SECOND, 6 * MINUTE]))
    def time_passes(self, wait: int) -> None:
        self.clock.advance(wait)

    @rule()
    def reclaim(self) -> None:
        queue.reclaim(self.tx, now=self.clock.now(), ids=self.ids, chance=self.chance)

    @rule()
    def restart(self) -> None:
        queue.reclaim(self.tx, now=self.clock.now(), ids=self.ids, chance=self.chance, everything=True)

    @rule(n=st.integers(0, 2), active=st.booleans(), recover=st.sampled_from(Recover))
    def switch(self, n: int, active: bool, recover: Recover) -> None:
        if self._endpoints()[n].state is not EndpointState.DELETED:
            service.set_active(
                self.tx,
                recover=recover,
                since=Instant(self.clock.now() - MINUTE),
                ids=self.ids,
                owner=self.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=self.endpoints[n].public_id,
                active=active,
                now=self.clock.now(),
            )

    @precondition(lambda self: len(self._rows("select 1 from event")) > 8)
    @rule(n=st.integers(0, 2))
    def delete(self, n: int) -> None:
        if self._endpoints()[n].state is not EndpointState.DELETED:
            service.delete_endpoint(
                self.tx,
                ids=self.ids,
                owner=self.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=self.endpoints[n].public_id,
                now=self.clock.now(),
            )

    @rule(pick=st.integers(0, 40), new=st.booleans())
    def send_again(self, pick: int, new: bool) -> None:
        """An owner resends or redelivers one; what is refused changes nothing."""
        deliveries = self._deliveries()
        if not deliveries:
            return
        chosen, now = deliveries[pick % len(deliveries)]["id"], self.clock.now()
        try:
            if new:
                service.redeliver(self.tx, owner=self.owner, delivery_id=chosen, ids=self.ids, now=now)
            else:
                service.resend(self.tx, owner=self.owner, delivery_id=chosen, now=now)
                self.final.pop(chosen, None)
                self.resends[chosen] += 1
        except Refused:
            assert self._deliveries() == deliveries

    @rule(n=st.integers(0, 2), kind=st.sampled_from(["recover", "missing", "all", "matching"]))
    def replay(self, n: int, kind: str) -> None:
        if self._endpoints()[n].state is EndpointState.DELETED:
            return
        place: dict[str, Any] = {
            "owner": self.owner,
            "dialect": Dialect.MERCHANT,
            "endpoint_id": self.endpoints[n].public_id,
            "ids": self.ids,
            "now": self.clock.now(),
        }
        since = Instant(self.clock.now() - MINUTE)
        match kind:
            case "recover":
                service.recover(self.tx, rate_per_s=BOUNDS.replay_rate, since=since, **place)
            case "missing":
                service.recover(self.tx, rate_per_s=BOUNDS.replay_rate, since=None, **place)
            case "all":
                service.replay_all(self.tx, rate_per_s=BOUNDS.replay_rate, since=since, **place)
            case _:
                service.resend_matching(self.tx, rate_per_s=BOUNDS.replay_rate, **place)

    @rule()
    def step(self) -> None:
        """A worker takes the next step of a job."""
        before = {row["id"]: row for row in self._deliveries()}
        replaying.step(self.tx, now=self.clock.now(), ids=self.ids)
        for row in self._deliveries():
            old = before.get(row["id"], row)
            if row["state"] == DeliveryState.DUE and old["state"] != DeliveryState.DUE:
                self.final.pop(row["id"], None)
                self.resends[row["id"]] += row["attempts_max"] is not None

    @rule(n=st.integers(0, 2), overlap_s=st.sampled_from([0, 60, 86_400]))
    def rotate(self, n: int, overlap_s: int) -> None:
        if self._endpoints()[n].state is not EndpointState.DELETED:
            service.rotate_secret(
                self.tx,
                owner=self.owner,
                dialect=Dialect.MERCHANT,
                endpoint_id=self.endpoints[n].public_id,
                ids=self.ids,
                keyring=KEYRING,
                now=self.clock.now(),
                overlap_s=overlap_s,
            )

    # What always holds.

    @invariant()
    def at_most_one_delivery_of_an_event_to_an_endpoint_is_unfinished(self) -> None:
        if not hasattr(self, "tx"):
            return
        open_ = Counter((d["event_seq"], d["endpoint_id"]) for d in self._deliveries() if d["state"] in UNFINISHED)
        assert set(open_.values()) <= {1}

    @invariant()
    def every_planned_event_has_one_delivery_for_each_endpoint_that_was_there(self) -> None:
        if not hasattr(self, "tx"):
            return
        made = Counter((d["event_seq"], d["endpoint_id"]) for d in self._deliveries() if d["origin"] == 0)
        assert set(made.values()) <= {1}
        expected = {(seq, endpoint) for seq, wanted in self.planned_for.items() for endpoint in wanted}
        assert set(made) == expected

    @invariant()
    def no_lane_runs_more_than_its_cap(self) -> None:
        if not hasattr(self, "tx"):
            return
        running = Counter(d["endpoint_id"] for d in self._deliveries() if d["state"] == DeliveryState.SENDING)
        for endpoint in self.endpoints:
            assert running[endpoint.id] <= endpoint.options.max_in_flight

    @invariant()
    def attempts_stay_within_the_schedule_and_final_rows_stay_as_they_are(self) -> None:
        if not hasattr(self, "tx"):
            return
        tries = {e.id: schedule_of(e.dialect, e.options.schedule).tries for e in self.endpoints}
        for delivery in self._deliveries():
            allowed = tries[delivery["endpoint_id"]] + self.resends[delivery["id"]]
            assert delivery["attempts"] - delivery["schedule_from"] <= allowed
            if delivery["state"] in (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.CANCELLED):
                now = tuple(delivery.values())
                assert self.final.setdefault(delivery["id"], now) == now
            else:
                assert delivery["id"] not in self.final
            assert (delivery["lease_owner"] is not None) == (delivery["state"] == DeliveryState.SENDING)

    @invariant()
    def the_bytes_of_an_event_never_change(self) -> None:
        if not hasattr(self, "tx"):
            return
        for row in self._rows("select event_seq, variant, body from webhook_payload"):
            key, body = (row["event_seq"], row["variant"]), bytes(row["body"])
            assert self.bytes.setdefault(key, body) == body

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "tx"):
            return
        found = orphans(self.tx, now=self.clock.now())
        assert (found.without_payload, found.without_lane_or_secret) == (0, 0)

    def _deliveries(self) -> list[dict[str, Any]]:
        return self._rows("select * from webhook_delivery")

    def _endpoints(self) -> list[Endpoint]:
        found = self._rows("select id, state from webhook_endpoint order by id")
        states = {row["id"]: EndpointState(row["state"]) for row in found}
        return [replace(endpoint, state=states[endpoint.id]) for endpoint in self.endpoints]

    def _rows(self, sql: str, **params: object) -> list[dict[str, Any]]:
        rows: list[sqlite3.Row] = self.connection.execute(sql, params).fetchall()
        return [dict(row) for row in rows]


@pytest.mark.bar("R15", gate=200, target=20_000, quick=15)
def test_whatever_happens_the_invariants_of_the_delivery_engine_hold(bar_size: int) -> None:
    run_state_machine_as_test(
        DeliveryEngine,
        settings=settings(
            max_examples=bar_size, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
