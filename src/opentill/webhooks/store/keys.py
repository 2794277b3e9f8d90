"""Rows of the Ed25519 keys that sign for a merchant and mode (webhooks.md §6.4)."""

from collections.abc import Iterable

from opentill.db import ReadTx, Row, Tx
from opentill.db.bulk import among, numbers
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.webhooks.model import SigningKey
from opentill.webhooks.signing_keys import NewKey, new_key

SigningKeys = dict[Owner, tuple[SigningKey, ...]]

COLUMNS = "k.kid, k.merchant_id, k.mode, k.sealed, k.public_key, k.created_at, k.signs_from, k.retires_at"


def make_first(tx: Tx, owner: Owner, *, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Give an owner its first key, which signs at once, unless it has one."""
    if not published(tx, owner, now=now):
        insert(tx, owner, new_key(ids, keyring, owner), signs_from=now, now=now)


def insert(tx: Tx, owner: Owner, key: NewKey, *, signs_from: Instant, now: Instant) -> None:
    """Insert a key as the newest; if another was faster, that one is."""
    tx.run(
        """
        insert into webhook_signing_key (kid, merchant_id, mode, sealed, public_key, created_at, signs_from)
        values (:kid, :merchant_id, :mode, :sealed, :public_key, :now, :signs_from)
        on conflict do nothing
        """,
        kid=key.kid,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        sealed=key.sealed,
        public_key=key.public_key,
        now=now,
        signs_from=signs_from,
    )


def published(tx: ReadTx, owner: Owner, *, now: Instant) -> list[SigningKey]:
    """Return the keys receivers may meet, the one that signs longest first."""
    found = tx.all(
        f"""
        select {COLUMNS} from webhook_signing_key k
         where k.merchant_id = :merchant_id and k.mode = :mode and (k.retires_at is null or k.retires_at > :now)
         order by k.signs_from, k.created_at
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        now=now,
    )
    return [as_key(row) for row in found]


def signing(tx: ReadTx, merchant_ids: Iterable[int], *, now: Instant) -> SigningKeys:
    """Return by owner the keys that sign at *now*, the newest first."""
    found = tx.all(
        f"""
        select {COLUMNS} from webhook_signing_key k
         where k.merchant_id {among(tx, "ids")} and k.signs_from <= :now
           and (k.retires_at is null or k.retires_at > :now)
         order by k.signs_from desc, k.created_at desc
        """,
        ids=numbers(tx, merchant_ids),
        now=now,
    )
    return by_owner(found)


def by_owner(rows: Iterable[Row]) -> SigningKeys:
    """Return keys by owner, in the order of the rows; a key may come several times."""
    keys: SigningKeys = {}
    for key in {row["kid"]: as_key(row) for row in rows}.values():
        keys[key.owner] = (*keys.get(key.owner, ()), key)
    return keys


def retire(tx: Tx, owner: Owner, *, until: Instant) -> None:
    """Let the newest key sign until then only; those that retire sooner keep their time."""
    tx.run(
        """
        update webhook_signing_key set retires_at = :until
         where merchant_id = :merchant_id and mode = :mode and (retires_at is null or retires_at > :until)
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        until=until,
    )


def as_key(row: Row) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        owner=Owner(int(row["merchant_id"]), Mode(row["mode"])),
        sealed=row["sealed"],
        public_key=row["public_key"],
        created_at=row["created_at"],
        signs_from=row["signs_from"],
        retires_at=row["retires_at"],
    )
