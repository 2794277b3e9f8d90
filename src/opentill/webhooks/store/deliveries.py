"""Rows of deliveries: what a claimed one is made of, and what owners do to those that wait."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, numbers
from opentill.db.dialect import by_index
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import (
    AT_ONCE,
    Claimed,
    DeliveryState,
    Dialect,
    EndpointState,
    Klass,
    Origin,
    SignatureFormat,
)
from opentill.webhooks.store.by_state import in_state

FOREVER: Final = 2**62


def claimed(tx: ReadTx, delivery_ids: Iterable[int]) -> list[Claimed]:
    """Return what claimed deliveries are made of, oldest first."""
    found = tx.all(
        f"""
        select d.id, d.public_id, d.endpoint_id, d.event_seq, d.wire_type, d.variant, d.target_url, d.target_format,
               d.origin, d.klass, d.due_at, d.attempts, d.attempts_max, d.claim_gen, d.lost, d.schedule_from,
               v.id as event_id, v.merchant_id, v.mode, v.occurred_at, p.body
          from webhook_delivery d
          join event v on v.seq = d.event_seq
          left join webhook_payload p on p.event_seq = d.event_seq and p.variant = d.variant
         where d.id {among(tx, "ids")}
         order by d.id
        """,
        ids=numbers(tx, delivery_ids),
    )
    return [_as_claimed(row) for row in found]


def _as_claimed(row: Row) -> Claimed:
    form = row["target_format"]
    return Claimed(
        id=int(row["id"]),
        public_id=row["public_id"],
        endpoint_id=int(row["endpoint_id"]),
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        event_seq=int(row["event_seq"]),
        event_id=row["event_id"],
        wire_type=row["wire_type"],
        variant=row["variant"],
        body=None if row["body"] is None else bytes(row["body"]),
        target_url=row["target_url"],
        target_format=None if form is None else SignatureFormat(form),
        origin=Origin(row["origin"]),
        klass=Klass(row["klass"]),
        attempts=int(row["attempts"]),
        attempts_max=row["attempts_max"],
        claim_gen=int(row["claim_gen"]),
        lost=int(row["lost"]),
        schedule_from=int(row["schedule_from"]),
        recorded_at=row["occurred_at"],
        due_at=row["due_at"],
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery its owner wants sent again, locked, with what decides whether it can be."""

    id: int
    public_id: str
    event_seq: int
    event_id: str
    endpoint_id: int
    endpoint_state: EndpointState
    dialect: Dialect
    state: DeliveryState
    due_at: Instant


def lock(tx: Tx, *, owner: Owner, delivery_id: int | str) -> Waiting | None:
    """Return one of an owner's deliveries, by id or `dlv_…`, locked against claims and other changes."""
    named = "id" if isinstance(delivery_id, int) else "public_id"
    of = " for update of d" if tx.dialect == "postgres" else ""
    row = tx.one_or_none(
        f"""
        select d.id, d.public_id, d.event_seq, d.endpoint_id, d.state, d.due_at, v.id as event_id,
               e.state as endpoint_state, e.dialect
          from webhook_delivery d
          join webhook_endpoint e on e.id = d.endpoint_id
          join event v on v.seq = d.event_seq
         where d.{named} = :delivery_id and e.merchant_id = :merchant_id and e.mode = :mode{of}
        """,
        delivery_id=delivery_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    if row is None:
        return None
    return Waiting(
        id=int(row["id"]),
        public_id=row["public_id"],
        event_seq=int(row["event_seq"]),
        event_id=row["event_id"],
        endpoint_id=int(row["endpoint_id"]),
        endpoint_state=EndpointState(row["endpoint_state"]),
        dialect=Dialect(row["dialect"]),
        state=DeliveryState(row["state"]),
        due_at=row["due_at"],
    )


def described(tx: ReadTx, delivery_ids: Iterable[int]) -> Sequence[Row]:
    """Return what a notice says of deliveries."""
    return tx.all(
        f"""
        select d.id, d.public_id, d.wire_type, d.attempts, d.target_url, v.id as event_id,
               case when d.origin = 3 then 1 else 0 end as origin_is_test
          from webhook_delivery d join event v on v.seq = d.event_seq
         where d.id {among(tx, "ids")} order by d.id
        """,
        ids=numbers(tx, delivery_ids),
    )


def has_unfinished(tx: ReadTx, event_seq: int, endpoint_id: int, *, besides: int) -> bool:
    """Tell whether another delivery of the event to the endpoint waits or is being sent."""
    return (
        tx.one_or_none(
            """
            select 1 as yes from webhook_delivery
             where event_seq = :event_seq and endpoint_id = :endpoint_id and id <> :besides and state in (0, 1)
            """,
            event_seq=event_seq,
            endpoint_id=endpoint_id,
            besides=besides,
        )
        is not None
    )


def resend(tx: Tx, delivery_id: int) -> None:
    """Make a delivery due at once: one attempt if it was over, else the next of its schedule. Outside any order."""
    tx.run(
        f"""
        update webhook_delivery
           set attempts_max = case when state = 0 then attempts_max else attempts + 1 end,
               state = 0, due_at = {AT_ONCE}, klass = 1, ordering = 0, reason = null, finished_at = null
         where id = :id
        """,
        id=delivery_id,
    )


def insert_again(tx: Tx, delivery_id: int, *, public_id: str, origin: Origin, klass: Klass, now: Instant) -> None:
    """Insert another delivery of the same event and bytes, due at once, outside any order."""
    tx.run(
        """
        insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, target_url,
                                      target_format, origin, klass, created_at)
        select :public_id, event_seq, endpoint_id, wire_type, variant, object_key, target_url, target_format,
               :origin, :klass, :now
          from webhook_delivery where id = :id
        """,
        id=delivery_id,
        public_id=public_id,
        origin=int(origin),
        klass=int(klass),
        now=now,
    )


def cancel(tx: Tx, endpoint_id: int, *, now: Instant, most: int) -> int:
    """Cancel what an endpoint still waits for, at most so many; attempts under way are fenced off by their state."""
    # Due and under way in one statement: meanwhile either becomes the other.
    unfinished = f"(select * from webhook_delivery{by_index(tx, 'wd_order')} where state in (0, 1))"
    done = 0
    for waiting in (unfinished, in_state(tx, DeliveryState.HELD)):
        done += tx.run(
            f"""
            update webhook_delivery
               set state = 5, reason = 'endpoint deleted', lease_owner = null, lease_until = null, finished_at = :now
             where id in (select id from {waiting} d where endpoint_id = :endpoint_id limit :most)
            """,
            endpoint_id=endpoint_id,
            now=now,
            most=most - done,
        )
    return done


def set_aside(tx: Tx, endpoint_id: int, *, most: int, until_id: int | None = None) -> int:
    """Hold what waits for an endpoint, up to a delivery and at most so many; return how many."""
    return tx.run(
        f"""
        update webhook_delivery set state = 4, reason = 'not active when it was due'
         where id in (select id from {in_state(tx, DeliveryState.DUE)} d
                       where endpoint_id = :endpoint_id and id <= :until limit :most)
        """,
        endpoint_id=endpoint_id,
        until=FOREVER if until_id is None else until_id,
        most=most,
    )


def set_aside_these(tx: Tx, delivery_ids: Iterable[int]) -> int:
    """Hold those of the deliveries that wait."""
    return tx.run(
        f"""
        update webhook_delivery set state = 4, reason = 'not active when it was due'
         where id {among(tx, "ids")} and state = 0
        """,
        ids=numbers(tx, delivery_ids),
    )


@dataclass(frozen=True, slots=True)
class Missed:
    """A delivery that waits or is held while its endpoint goes back into service."""

    id: int
    event_seq: int
    state: DeliveryState
    occurred_at: Instant


def missed(tx: ReadTx, endpoint_id: int, *, after_id: int, until_id: int, most: int) -> list[Missed]:
    """Return what an endpoint missed, in the order of ids. It reads every delivery in between."""
    of_state = """
        select * from (select id, state, event_seq from webhook_delivery
                        where endpoint_id = :endpoint_id and state = {state} and id > :after and id <= :until
                        order by id limit :most) {name}"""
    found = tx.all(
        f"""
        select d.id, d.event_seq, d.state, v.occurred_at
          from ({of_state.format(state=0, name="due")} union all {of_state.format(state=4, name="held")}) d
          join event v on v.seq = d.event_seq
         order by d.id limit :most
        """,
        endpoint_id=endpoint_id,
        after=after_id,
        until=until_id,
        most=most,
    )
    return [
        Missed(int(row["id"]), int(row["event_seq"]), DeliveryState(row["state"]), row["occurred_at"]) for row in found
    ]


def reopen(tx: Tx, delivery_ids: Iterable[int]) -> int:
    """Make held and dead deliveries due in the bulk class, each with a whole schedule before it; return how many.

    Where another delivery of the same event to the same endpoint is unfinished, nothing is done.
    """
    return tx.run(
        f"""
        update webhook_delivery
           set state = 0, due_at = {AT_ONCE}, klass = 2, ordering = 0, schedule_from = attempts, attempts_max = null,
               reason = null, finished_at = null
         where id {among(tx, "ids")} and state in (3, 4)
           and not exists (select 1 from webhook_delivery o
                            where o.event_seq = webhook_delivery.event_seq
                              and o.endpoint_id = webhook_delivery.endpoint_id and o.state in (0, 1))
        """,
        ids=numbers(tx, delivery_ids),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A delivery of an event to an endpoint, as a replay sees it."""

    id: int
    event_seq: int
    state: DeliveryState
    was_delivered: bool


def of_events(tx: ReadTx, endpoint_id: int, seqs: Iterable[int]) -> list[Made]:
    """Return what was made of events for an endpoint, oldest first."""
    found = tx.all(
        f"""
        select id, event_seq, state, case when state = 2 or delivered_at is not null then 1 else 0 end as delivered
          from webhook_delivery
         where event_seq {among(tx, "seqs")} and endpoint_id = :endpoint_id
         order by id
        """,
        seqs=numbers(tx, seqs),
        endpoint_id=endpoint_id,
    )
    return [Made(int(r["id"]), int(r["event_seq"]), DeliveryState(r["state"]), bool(r["delivered"])) for r in found]


def stretch_end(tx: ReadTx, endpoint_id: int, *, after_id: int, until_id: int, rows: int) -> int | None:
    """Return the id of an endpoint's delivery so many rows further on; None where there are fewer."""
    row = tx.one_or_none(
        """
        select id from webhook_delivery
         where endpoint_id = :endpoint_id and id > :after and id <= :until
         order by id limit 1 offset :skipped
        """,
        endpoint_id=endpoint_id,
        after=after_id,
        until=until_id,
        skipped=rows - 1,
    )
    return None if row is None else int(row["id"])


def matching(
    tx: ReadTx,
    endpoint_id: int,
    *,
    states: Iterable[int],
    event_name: str | None,
    after_id: int,
    until_id: int,
    most: int,
) -> list[tuple[int, int]]:
    """Return an endpoint's deliveries that a filter of the log shows, in their order, with their events.

    It reads every delivery in between.
    """
    found = tx.all(
        f"""
        select id, event_seq from webhook_delivery
         where endpoint_id = :endpoint_id and id > :after and id <= :until and state {among(tx, "states")}
           and (cast(:event_name as text) is null or wire_type = :event_name)
         order by id limit :most
        """,
        endpoint_id=endpoint_id,
        after=after_id,
        until=until_id,
        states=numbers(tx, states),
        event_name=event_name,
        most=most,
    )
    return [(int(row["id"]), int(row["event_seq"])) for row in found]


def resend_in_bulk(tx: Tx, delivery_ids: Iterable[int]) -> int:
    """Give each finished or held delivery one more attempt, in the bulk class; return how many."""
    return tx.run(
        f"""
        update webhook_delivery
           set attempts_max = attempts + 1, state = 0, due_at = {AT_ONCE}, klass = 2, ordering = 0, reason = null,
               finished_at = null
         where id {among(tx, "ids")} and state in (2, 3, 4)
           and not exists (select 1 from webhook_delivery o
                            where o.event_seq = webhook_delivery.event_seq
                              and o.endpoint_id = webhook_delivery.endpoint_id and o.state in (0, 1))
        """,
        ids=numbers(tx, delivery_ids),
    )


def newest_id(tx: ReadTx, endpoint_id: int) -> int:
    """Return the id of an endpoint's newest delivery, 0 if it has none."""
    row = tx.one_or_none("select max(id) as id from webhook_delivery where endpoint_id = :id", id=endpoint_id)
    return 0 if row is None or row["id"] is None else int(row["id"])


def insert_claimed(tx: Tx, **columns: Any) -> int:
    """Insert a delivery that is claimed already, generation 1; return its id."""
    made = tx.all(
        """
        insert into webhook_delivery (public_id, event_seq, endpoint_id, wire_type, variant, object_key, origin,
                                      state, attempts_max, claim_gen, lease_owner, lease_until, created_at)
        values (:public_id, :event_seq, :endpoint_id, :wire_type, :variant, :object_key, :origin,
                1, :attempts_max, 1, :worker, :lease_until, :now)
        returning id
        """,
        **columns,
    )
    return int(made[0]["id"])
