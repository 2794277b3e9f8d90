"""Rows of endpoints, their lanes and their secrets."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, insert_returning, numbers, row_set, rows
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.webhooks.model import Dialect, Endpoint, EndpointState, Kind, Options, SealedSecret
from opentill.webhooks.store.keys import SigningKeys, by_owner

OPTIONS_KEPT: Final = 4096

# What the planner may plan for: registered and operational endpoints that are not deleted.
HEARS: Final = "e.state in (0, 1, 2, 4) and e.kind in (0, 2)"

COLUMNS: Final = """e.id, e.public_id, e.merchant_id, e.mode, e.kind, e.dialect, e.url, e.state, e.state_reason,
               e.state_since, e.options, e.version, e.created_at, e.sealed, e.transport"""


def insert(
    tx: Tx,
    *,
    public_id: str,
    owner: Owner,
    kind: Kind,
    dialect: Dialect,
    url: str,
    options: Options,
    now: Instant,
) -> int:
    """Insert an active endpoint with its lane and return its id."""
    made = tx.all(
        """
        insert into webhook_endpoint (public_id, merchant_id, mode, kind, dialect, url, state_since, options,
                                      created_at)
        values (:public_id, :merchant_id, :mode, :kind, :dialect, :url, :now, :options, :now)
        returning id
        """,
        public_id=public_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        kind=int(kind),
        dialect=int(dialect),
        url=url,
        now=now,
        options=options.to_json(),
    )
    endpoint_id = int(made[0]["id"])
    tx.run("insert into webhook_lane (endpoint_id) values (:id)", id=endpoint_id)
    return endpoint_id


def get(tx: ReadTx, endpoint_id: int) -> Endpoint | None:
    """Return an endpoint that the caller already knows to be allowed to see."""
    row = tx.one_or_none(f"select {COLUMNS} from webhook_endpoint e where e.id = :id", id=endpoint_id)
    return None if row is None else as_endpoint(row)


def find(tx: ReadTx, *, owner: Owner, endpoint_id: int | str) -> Endpoint | None:
    """Return an endpoint of an owner that is not deleted, by id or `wh_…`; callback origins are nobody's to look up."""
    return _one(tx, owner, endpoint_id, "")


def lock(tx: Tx, *, owner: Owner, endpoint_id: int | str) -> Endpoint | None:
    """Return the same, locked against other changes."""
    return _one(tx, owner, endpoint_id, for_update(tx))


def _one(tx: ReadTx, owner: Owner, endpoint_id: int | str, locked: str) -> Endpoint | None:
    named = "id" if isinstance(endpoint_id, int) else "public_id"
    row = tx.one_or_none(
        f"""
        select {COLUMNS} from webhook_endpoint e
         where e.{named} = :endpoint_id and e.merchant_id = :merchant_id and e.mode = :mode
           and e.kind in (0, 2) and e.state <> 3{locked}
        """,
        endpoint_id=endpoint_id,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
    )
    return None if row is None else as_endpoint(row)


def lock_owner(tx: Tx, owner: Owner) -> None:
    """Make whoever else registers an endpoint of this owner wait, so that limits and uniqueness hold.

    Payments of the merchant do not wait: they only refer to the row.
    """
    if tx.dialect == "postgres":
        tx.all("select id from merchant where id = :id for no key update", id=owner.merchant_id)


def save(tx: Tx, endpoint_id: int, *, url: str, options: Options) -> None:
    """Store another URL and other options as the next version."""
    tx.run(
        "update webhook_endpoint set url = :url, options = :options, version = version + 1 where id = :id",
        id=endpoint_id,
        url=url,
        options=options.to_json(),
    )


def save_entrusted(tx: Tx, endpoint_id: int, sealed: str) -> None:
    """Store what the owner entrusted to us, sealed, as the next version."""
    tx.run(
        "update webhook_endpoint set sealed = :sealed, version = version + 1 where id = :id",
        id=endpoint_id,
        sealed=sealed,
    )


def touch(tx: Tx, endpoint_id: int) -> None:
    """Count a change that is stored elsewhere."""
    tx.run("update webhook_endpoint set version = version + 1 where id = :id", id=endpoint_id)


def of_merchants(tx: ReadTx, merchant_ids: Iterable[int]) -> list[Endpoint]:
    """Return what the planner may plan for: registered and operational endpoints that are not deleted."""
    found = tx.all(
        f"""
        select {COLUMNS} from webhook_endpoint e
         where e.merchant_id {among(tx, "merchant_ids")} and {HEARS}
         order by e.id
        """,
        merchant_ids=numbers(tx, merchant_ids),
    )
    return [as_endpoint(row) for row in found]


def by_ids(tx: ReadTx, endpoint_ids: Iterable[int]) -> dict[int, Endpoint]:
    found = tx.all(
        f"select {COLUMNS} from webhook_endpoint e where e.id {among(tx, 'ids')}", ids=numbers(tx, endpoint_ids)
    )
    return {int(row["id"]): as_endpoint(row) for row in found}


def origins(tx: ReadTx, wanted: Iterable[tuple[Owner, str]]) -> dict[tuple[Owner, str], int]:
    """Return the ids of the callback origins that exist already."""
    columns = {"merchant_id": "bigint", "mode": "bigint", "url": "text"}
    found = tx.all(
        f"""
        select e.id, e.merchant_id, e.mode, e.url
          from {row_set(tx, "wanted", columns)} w
          join webhook_endpoint e
            on e.merchant_id = w.merchant_id and e.mode = w.mode and e.url = w.url and e.kind = 1
        """,
        wanted=rows((owner.merchant_id, int(owner.mode), url) for owner, url in wanted),
    )
    return {(Owner(row["merchant_id"], Mode(row["mode"])), row["url"]): int(row["id"]) for row in found}


def insert_origins(tx: Tx, wanted: Sequence[tuple[Owner, str, str]], *, now: Instant) -> None:
    """Insert callback origins (owner, public id, URL) with their lanes; those that exist are left alone."""
    columns = {
        "public_id": "text",
        "merchant_id": "bigint",
        "mode": "bigint",
        "kind": "bigint",
        "dialect": "bigint",
        "url": "text",
        "state_since": "bigint",
        "created_at": "bigint",
    }
    made = insert_returning(
        tx,
        "webhook_endpoint",
        columns,
        [
            {
                "public_id": public_id,
                "merchant_id": owner.merchant_id,
                "mode": int(owner.mode),
                "kind": int(Kind.CALLBACK),
                "dialect": int(Dialect.MERCHANT),
                "url": url,
                "state_since": now,
                "created_at": now,
            }
            for owner, public_id, url in wanted
        ],
        conflict="on conflict do nothing",
        returning="id",
    )
    if made:
        tx.many("insert into webhook_lane (endpoint_id) values (:id)", [{"id": int(row["id"])} for row in made])


def set_state(
    tx: Tx,
    endpoint_id: int,
    state: EndpointState,
    *,
    reason: str | None,
    now: Instant,
    among_states: Collection[EndpointState] = tuple(EndpointState),
) -> bool:
    """Move an endpoint into a state if it is in one of *among_states*, and tell whether it was.

    What was read without a lock may have been paused or deleted since. The change takes effect at the next claim.
    """
    moved = tx.run(
        f"""
        update webhook_endpoint
           set state = :state, state_reason = :reason, state_since = :now, version = version + 1
         where id = :id and state {among(tx, "states")}
        """,
        id=endpoint_id,
        states=numbers(tx, among_states),
        state=int(state),
        reason=reason,
        now=now,
    )
    return moved > 0


def count(tx: ReadTx, owner: Owner, kind: Kind, dialect: Dialect | None = None) -> int:
    """Return how many endpoints of a kind an owner has, all or those of one dialect."""
    row = tx.one_or_none(
        """
        select count(*) as n from webhook_endpoint
         where merchant_id = :merchant_id and mode = :mode and kind = :kind and state <> 3
           and (:dialect < 0 or dialect = :dialect)
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        kind=int(kind),
        dialect=-1 if dialect is None else int(dialect),
    )
    return 0 if row is None else int(row["n"])


def insert_secret(tx: Tx, endpoint_id: int, *, fingerprint: str, now: Instant) -> int:
    """Insert the row of a current secret, not sealed yet: the seal is bound to the id this returns."""
    made = tx.all(
        """
        insert into webhook_secret (endpoint_id, sealed, fingerprint, created_at)
        values (:endpoint_id, '', :fingerprint, :now) returning id
        """,
        endpoint_id=endpoint_id,
        fingerprint=fingerprint,
        now=now,
    )
    return int(made[0]["id"])


def seal_secret(tx: Tx, secret_id: int, sealed: str) -> None:
    tx.run("update webhook_secret set sealed = :sealed where id = :id", id=secret_id, sealed=sealed)


def delete_retiring_secrets(tx: Tx, endpoint_id: int, *, now: Instant) -> bool:
    """Destroy secrets that were retired before; tell whether one of them was still signing."""
    was_signing = tx.one_or_none(
        "select 1 as yes from webhook_secret where endpoint_id = :id and retires_at > :now", id=endpoint_id, now=now
    )
    tx.run("delete from webhook_secret where endpoint_id = :id and retires_at is not null", id=endpoint_id)
    return was_signing is not None


def retire_secret(tx: Tx, endpoint_id: int, *, until: Instant | None) -> str | None:
    """Let the current secret sign beside the next one *until* then, or destroy it; return its fingerprint."""
    row = tx.one_or_none(
        "select fingerprint from webhook_secret where endpoint_id = :id and retires_at is null", id=endpoint_id
    )
    if until is None:
        tx.run("delete from webhook_secret where endpoint_id = :id and retires_at is null", id=endpoint_id)
    else:
        tx.run(
            "update webhook_secret set retires_at = :until where endpoint_id = :id and retires_at is null",
            id=endpoint_id,
            until=until,
        )
    return None if row is None else str(row["fingerprint"])


def delete_secrets(tx: Tx, endpoint_id: int) -> None:
    """Destroy every secret of a deleted endpoint."""
    tx.run("delete from webhook_secret where endpoint_id = :id", id=endpoint_id)


def secret_context(endpoint_id: int, secret_id: int) -> str:
    """Return what a sealed secret is bound to: it opens in no other row."""
    return f"webhook_secret.sealed/{endpoint_id}/{secret_id}"


def secrets_of(tx: ReadTx, endpoint_ids: Iterable[int], *, now: Instant) -> "Signing":
    """Return the secrets valid at *now*, the current one of each endpoint first, the merchants they belong to, and
    the keys that sign for these, the newest first."""
    found = tx.all(
        f"""
        select s.id, s.endpoint_id, s.sealed as secret,
               m.id as merchant_id, m.uuid, m.sealed_secret, m.outbound_allow,
               k.kid, k.mode, k.sealed, k.public_key, k.created_at, k.signs_from, k.retires_at
          from webhook_secret s
          join webhook_endpoint e on e.id = s.endpoint_id
          join merchant m on m.id = e.merchant_id
          left join webhook_signing_key k on k.merchant_id = e.merchant_id and k.mode = e.mode
                and k.signs_from <= :now and (k.retires_at is null or k.retires_at > :now)
         where s.endpoint_id {among(tx, "ids")} and (s.retires_at is null or s.retires_at > :now)
         order by s.endpoint_id, coalesce(s.retires_at, 9223372036854775807) desc, s.id desc,
                  k.signs_from desc, k.created_at desc
        """,
        ids=numbers(tx, endpoint_ids),
        now=now,
    )
    secrets = {
        row["id"]: SealedSecret(
            int(row["endpoint_id"]), row["secret"], secret_context(int(row["endpoint_id"]), int(row["id"]))
        )
        for row in found
    }
    found_merchants = {int(row["merchant_id"]): _as_merchant(row) for row in found}
    return list(secrets.values()), found_merchants, by_owner(row for row in found if row["kid"] is not None)


def as_endpoint(row: Row) -> Endpoint:
    return Endpoint(
        id=int(row["id"]),
        public_id=row["public_id"],
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        kind=Kind(row["kind"]),
        dialect=Dialect(row["dialect"]),
        url=row["url"],
        state=EndpointState(row["state"]),
        state_reason=row["state_reason"],
        state_since=row["state_since"],
        options=options_of(row["options"]),
        version=int(row["version"]),
        created_at=row["created_at"],
        sealed=row["sealed"],
        is_pulled=bool(row["transport"]),
    )


@lru_cache(OPTIONS_KEPT)
def options_of(text: str) -> Options:
    """Read stored options. The same few texts are read over and over."""
    return Options.from_json(text)


@dataclass(frozen=True, slots=True)
class MerchantSide:
    """What deliveries need to know of a merchant: the default secret and who an operator opened for it."""

    uuid: str
    default_secret: SealedSecret
    outbound_allow: tuple[str, ...]


Merchants = dict[int, MerchantSide]
Signing = tuple[list[SealedSecret], Merchants, SigningKeys]


def merchants(tx: ReadTx, merchant_ids: Iterable[int]) -> Merchants:
    found = tx.all(
        f"select id as merchant_id, uuid, sealed_secret, outbound_allow from merchant where id {among(tx, 'ids')}",
        ids=numbers(tx, merchant_ids),
    )
    return {int(row["merchant_id"]): _as_merchant(row) for row in found}


def _as_merchant(row: Row) -> MerchantSide:
    default = SealedSecret(0, row["sealed_secret"], f"merchant.sealed_secret/{row['uuid']}")
    return MerchantSide(row["uuid"], default, tuple(json.loads(row["outbound_allow"])))
