"""Rows of feeds: endpoints whose deliveries are numbered when they are read (webhooks.md §11)."""

from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.db.bulk import row_set, rows
from opentill.db.dialect import by_index, for_update
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.webhooks.model import DeliveryState, Dialect, Endpoint, Klass, Options
from opentill.webhooks.rules import Notice
from opentill.webhooks.store.by_state import in_state
from opentill.webhooks.store.endpoints import COLUMNS, as_endpoint

NEVER: Final = 2**62  # when the lane of a feed opens


@dataclass(frozen=True, slots=True)
class Numbered:
    """A delivery of a feed with its number."""

    feed_seq: int
    delivery_id: int


@dataclass(frozen=True, slots=True)
class Neglected:
    """A feed in service, since when it is not read although something waits (None: it is), and what was told of it."""

    endpoint_id: int
    since: Instant | None
    told: Notice


def insert(tx: Tx, *, public_id: str, owner: Owner, dialect: Dialect, options: Options, now: Instant) -> int:
    """Insert a feed with a lane that never opens, and return its id."""
    made = tx.all(
        """
        insert into webhook_endpoint (public_id, merchant_id, mode, kind, transport, dialect, url, state_since,
                                      options, created_at)
        values (:public_id, :merchant_id, :mode, 0, 1, :dialect, '', :now, :options, :now)
        returning id
        """,
        public_id=public_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        dialect=int(dialect),
        now=now,
        options=options.to_json(),
    )
    endpoint_id = int(made[0]["id"])
    tx.run("insert into webhook_lane (endpoint_id, open_at) values (:id, :never)", id=endpoint_id, never=NEVER)
    return endpoint_id


def set_token(tx: Tx, endpoint_id: int, token_hash: str) -> None:
    tx.run("update webhook_endpoint set feed_token_hash = :hash where id = :id", id=endpoint_id, hash=token_hash)


def by_token(tx: ReadTx, token_hash: str) -> Endpoint | None:
    """Return the feed a token belongs to, unless it was deleted."""
    row = tx.one_or_none(
        f"select {COLUMNS} from webhook_endpoint e where e.feed_token_hash = :hash and e.state <> 3", hash=token_hash
    )
    return None if row is None else as_endpoint(row)


def lock(tx: Tx, endpoint_id: int, *, now: Instant) -> int:
    """Lock a feed's lane, note that it was read, and return the last number given."""
    row = tx.one_or_none(f"select feed_seq from webhook_lane where endpoint_id = :id{for_update(tx)}", id=endpoint_id)
    tx.run("update webhook_lane set last_ok_at = :now where endpoint_id = :id", id=endpoint_id, now=now)
    return 0 if row is None else int(row["feed_seq"])


def acknowledge(tx: Tx, endpoint_id: int, *, up_to: int, now: Instant) -> int:
    """Make everything up to a number delivered; return how many deliveries that is."""
    return tx.run(
        f"""
        update webhook_delivery
           set state = 2, reason = null, attempts = attempts + 1, last_outcome = 'ok', finished_at = :now,
               delivered_at = coalesce(delivered_at, :now)
         where id in (select id from webhook_delivery{by_index(tx, "wd_unread")}
                       where endpoint_id = :endpoint_id and state = 0 and feed_seq is not null
                         and feed_seq <= :up_to)
        """,
        endpoint_id=endpoint_id,
        up_to=up_to,
        now=now,
    )


def numbered(tx: ReadTx, endpoint_id: int, *, after: int, limit: int) -> list[Numbered]:
    """Return what has a number beyond *after*, in order."""
    found = tx.all(
        """
        select feed_seq, id from webhook_delivery
         where endpoint_id = :endpoint_id and feed_seq is not null and feed_seq > :after
         order by feed_seq limit :limit
        """,
        endpoint_id=endpoint_id,
        after=after,
        limit=limit,
    )
    return [Numbered(int(row["feed_seq"]), int(row["id"])) for row in found]


def has_more(tx: ReadTx, endpoint_id: int, *, after: int) -> bool:
    """Tell whether there is anything beyond a number, numbered or not."""
    row = tx.one_or_none(
        f"""
        select case when exists (select 1 from webhook_delivery
                                  where endpoint_id = :endpoint_id and feed_seq > :after)
                      or exists (select 1 from {in_state(tx, DeliveryState.DUE)} d
                                  where endpoint_id = :endpoint_id and feed_seq is null)
                    then 1 else 0 end as yes
        """,
        endpoint_id=endpoint_id,
        after=after,
    )
    return row is not None and bool(row["yes"])


def number(tx: Tx, endpoint_id: int, *, last: int, limit: int) -> list[Numbered]:
    """Give the next numbers to what waits, in the order of delivery ids; return it. The lane is locked."""
    # Within a class the index of due rows is in the order of ids, because a feed's rows are due at once.
    of_class = """
        select * from (select id from webhook_delivery
                        where endpoint_id = :endpoint_id and state = 0 and klass = {klass} and feed_seq is null
                        order by due_at, id limit :limit) waiting_{klass}"""
    waiting = tx.all(
        f"""
        select id from ({" union all ".join(of_class.format(klass=int(klass)) for klass in Klass)}) waiting
         order by id limit :limit
        """,
        endpoint_id=endpoint_id,
        limit=limit,
    )
    given = [Numbered(last + place, int(row["id"])) for place, row in enumerate(waiting, start=1)]
    if given:
        tx.run(
            f"""
            update webhook_delivery set feed_seq = n.feed_seq
              from {row_set(tx, "numbers", {"id": "bigint", "feed_seq": "bigint"})} n
             where webhook_delivery.id = n.id
            """,
            numbers=rows((one.delivery_id, one.feed_seq) for one in given),
        )
        tx.run(
            "update webhook_lane set feed_seq = :last where endpoint_id = :id", id=endpoint_id, last=given[-1].feed_seq
        )
    return given


def neglected(tx: ReadTx, *, lock: bool = False) -> list[Neglected]:
    """Return the feeds in service on which something waits, or of which something was told."""
    found = tx.all(
        f"""
        select l.endpoint_id, l.notice_step, l.last_ok_at,
               (select d.created_at from webhook_delivery d
                 where d.endpoint_id = l.endpoint_id and d.state = 0
                 order by d.klass, d.due_at, d.id limit 1) as waiting_since
          from webhook_lane l
         where l.endpoint_id in (select id from webhook_endpoint where transport = 1 and state = 0)
         order by l.endpoint_id{for_update(tx) if lock else ""}
        """
    )
    return [
        Neglected(
            int(row["endpoint_id"]),
            None if row["waiting_since"] is None else max(row["waiting_since"], row["last_ok_at"] or Instant(0)),
            Notice(row["notice_step"]),
        )
        for row in found
        if row["waiting_since"] is not None or row["notice_step"]
    ]


def note_told(tx: Tx, endpoint_id: int, notice: Notice) -> None:
    tx.run("update webhook_lane set notice_step = :step where endpoint_id = :id", id=endpoint_id, step=int(notice))
