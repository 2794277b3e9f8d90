"""What becomes of an API key: locked, unlocked, narrowed, rotated, revoked (merchant-api.md §2.1, §16.2)."""

from dataclasses import dataclass

import pytest

from opentill.db import Database
from opentill.kernel.clock import DAY, SECOND
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.merchants import api_keys, queries, service
from opentill.merchants.api_keys import AlreadyRevoked, KeyDraft, NewKey
from opentill.merchants.model import KeyLine, Merchant
from tests.make import Scene

pytestmark = pytest.mark.anyio

DRAFT = KeyDraft("Shop", ("read", "write"), rate_limit=9, allowed_ips=("10.0.0.0/8",), dialect="sdk")


@dataclass
class Bench:
    """A merchant with one key, and another merchant."""

    db: Database
    scene: Scene
    shop: Merchant
    stranger: Merchant
    key: NewKey

    async def line(self, key_id: int | None = None) -> KeyLine:
        now = self.scene.clock.now()
        lines = await self.db.read(lambda tx: queries.api_keys(tx, owner=self.shop.owner, now=now, ended=True))
        return next(line for line in lines if line.id == (key_id or self.key.id))


@pytest.fixture
async def bench(database: Database) -> Bench:
    scene = Scene()
    shop, stranger = await database.write(scene.merchant), await database.write(scene.merchant)
    key = await database.write(
        lambda tx: api_keys.create(tx, DRAFT, owner=shop.owner, ids=scene.ids, now=scene.clock.now())
    )
    return Bench(database, scene, shop, stranger, key)


async def test_a_key_is_locked_and_unlocked(bench: Bench) -> None:
    owner, now = bench.shop.owner, bench.scene.clock.now()

    await bench.db.write(lambda tx: api_keys.lock(tx, bench.key.id, owner=owner, now=now))
    assert (await bench.line()).status == "locked"
    with pytest.raises(Conflict):
        await bench.db.write(lambda tx: api_keys.lock(tx, bench.key.id, owner=owner, now=now))
    with pytest.raises(Conflict):
        await bench.db.write(lambda tx: api_keys.rotate(tx, bench.key.id, owner=owner, ids=bench.scene.ids, now=now))

    await bench.db.write(lambda tx: api_keys.unlock(tx, bench.key.id, owner=owner))
    assert (await bench.line()).status == "active"
    with pytest.raises(Conflict):
        await bench.db.write(lambda tx: api_keys.unlock(tx, bench.key.id, owner=owner))


async def test_a_revoked_key_stays_revoked(bench: Bench) -> None:
    owner, now = bench.shop.owner, bench.scene.clock.now()

    await bench.db.write(lambda tx: api_keys.lock(tx, bench.key.id, owner=owner, now=now))
    await bench.db.write(lambda tx: api_keys.revoke(tx, bench.key.id, owner=owner))

    with pytest.raises(AlreadyRevoked):
        await bench.db.write(lambda tx: api_keys.revoke(tx, bench.key.id, owner=owner))
    with pytest.raises(Conflict):
        await bench.db.write(lambda tx: api_keys.unlock(tx, bench.key.id, owner=owner))
    assert (await bench.line()).status == "revoked"


async def test_in_an_emergency_all_keys_of_one_merchant_are_locked(bench: Bench) -> None:
    others = await bench.db.write(lambda tx: bench.scene.api_key(tx, bench.stranger))

    assert await bench.db.write(lambda tx: api_keys.lock_all(tx, owner=bench.shop.owner)) == 1

    assert (await bench.line()).status == "locked"
    untouched = await bench.db.read(lambda tx: service.find_api_key(tx, others.reveal()))
    assert untouched is not None
    assert untouched.status == "active"


async def test_scopes_are_narrowed_and_never_widened(bench: Bench) -> None:
    owner, now = bench.shop.owner, bench.scene.clock.now()

    for wider in (["read", "write", "admin"], ["admin"], []):
        with pytest.raises(Invalid):
            await bench.db.write(lambda tx, wider=wider: api_keys.narrow(tx, bench.key.id, wider, owner=owner, now=now))
    await bench.db.write(lambda tx: api_keys.narrow(tx, bench.key.id, ["read"], owner=owner, now=now))

    assert (await bench.line()).scopes == ("read",)


async def test_a_rotated_key_passes_on_what_was_chosen_and_says_who_follows(bench: Bench) -> None:
    owner, now = bench.shop.owner, bench.scene.clock.now()

    old, new = await bench.db.write(
        lambda tx: api_keys.rotate(tx, bench.key.id, owner=owner, ids=bench.scene.ids, now=now)
    )

    followed, follower = await bench.line(old.id), await bench.line(new.id)
    assert (followed.replaced_by, followed.expires_at) == (new.prefix, now + DAY)
    assert (follower.name, follower.scopes, follower.rate_limit) == ("Shop", ("read", "write"), 9)
    assert (follower.allowed_ips, follower.dialect, follower.expires_at) == (("10.0.0.0/8",), "sdk", None)


async def test_an_overlap_never_lengthens_a_life_and_has_a_limit(bench: Bench) -> None:
    owner, now = bench.shop.owner, bench.scene.clock.now()
    soon = now + 60 * SECOND
    await bench.db.write(lambda tx: tx.run("update api_key set expires_at = :soon", soon=soon))

    with pytest.raises(Invalid):
        await bench.db.write(
            lambda tx: api_keys.rotate(
                tx, bench.key.id, owner=owner, ids=bench.scene.ids, now=now, overlap_s=30 * 86_400 + 1
            )
        )
    old, _ = await bench.db.write(
        lambda tx: api_keys.rotate(tx, bench.key.id, owner=owner, ids=bench.scene.ids, now=now)
    )

    assert (await bench.line(old.id)).expires_at == soon


async def test_a_key_of_another_merchant_is_not_found(bench: Bench) -> None:
    stranger, now = bench.stranger.owner, bench.scene.clock.now()
    for work in (
        lambda tx: api_keys.lock(tx, bench.key.id, owner=stranger, now=now),
        lambda tx: api_keys.unlock(tx, bench.key.id, owner=stranger),
        lambda tx: api_keys.revoke(tx, bench.key.id, owner=stranger),
        lambda tx: api_keys.narrow(tx, bench.key.id, ["read"], owner=stranger, now=now),
        lambda tx: api_keys.rotate(tx, bench.key.id, owner=stranger, ids=bench.scene.ids, now=now),
    ):
        with pytest.raises(NotFound):
            await bench.db.write(work)


@pytest.mark.parametrize("stored", ["", "read", "{}", "null", '["root"]'])
async def test_scopes_that_cannot_be_read_allow_nothing(bench: Bench, stored: str) -> None:
    await bench.db.write(lambda tx: tx.run("update api_key set scopes = :stored", stored=stored))

    key = await bench.db.read(lambda tx: service.find_api_key(tx, bench.key.text.reveal()))

    assert key is not None
    assert key.scopes == frozenset()
