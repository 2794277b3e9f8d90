"""Whatever is done to the audit log behind its back, `verify` names it (bars.md C10, the part of the audit log)."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from opentill.db import Database, Tx
from opentill.operators import audit, verification
from opentill.operators.model import Change
from tests.make import Scene

ENTRIES = 12
COLUMNS = ("at", "actor", "origin", "action", "subject", "detail", "reason", "merchant_id", "seq", "chain")


def fill(tx: Tx, scene: Scene) -> None:
    for number in range(ENTRIES):
        change = Change(f"operator:{number % 3}", "203.0.113.9", "fee_rule.changed", f"fee:{number}", {"after": number})
        audit.write(tx, change, now=scene.clock.advance(1_000))


def unguarded(tx: Tx) -> None:
    """Take the guards away, as somebody with the database in their hands would."""
    if tx.dialect == "postgres":
        tx.run("alter table audit_entry disable trigger user")
    else:
        for name in ("audit_entry_refuses_update", "audit_entry_refuses_delete"):
            tx.run(f"drop trigger if exists {name}")


def guarded(tx: Tx) -> None:
    if tx.dialect == "postgres":
        tx.run("alter table audit_entry enable trigger user")


def flip(tx: Tx, chance: Random) -> None:
    column, victim = chance.choice(COLUMNS), chance.randint(1, ENTRIES)
    other = {"at": "at + 1", "seq": "seq + 1000", "merchant_id": "null"}.get(column, f"{column} || 'x'")
    if column == "merchant_id":
        column, other = "reason", "'because'"
    tx.run(f"update audit_entry set {column} = {other} where seq = :seq", seq=victim)


def drop(tx: Tx, chance: Random) -> None:
    tx.run("delete from audit_entry where seq = :seq", seq=chance.randint(1, ENTRIES))


def insert(tx: Tx, chance: Random) -> None:
    tx.run(
        """
        insert into audit_entry (at, actor, origin, action, subject, seq, chain)
        select at, 'operator:1', origin, action, subject, :seq, chain from audit_entry where seq = :like
        """,
        seq=chance.choice((None, ENTRIES + 1)),
        like=chance.randint(1, ENTRIES),
    )


def swap(tx: Tx, chance: Random) -> None:
    one = chance.randint(1, ENTRIES - 1)
    for old, new in ((one, 0), (one + 1, one), (0, one + 1)):
        tx.run("update audit_entry set seq = :new where seq = :old", new=new, old=old)


def forget_the_end(tx: Tx, chance: Random) -> None:
    tx.run("delete from audit_entry where seq > :seq", seq=chance.randint(0, ENTRIES - 1))


class UndoError(Exception):
    """The end of one try."""


MISDEEDS: tuple[Callable[[Tx, Random], None], ...] = (flip, drop, insert, swap, forget_the_end)


@pytest.mark.bar("C10", part="audit log", gate=200, target=2_000, quick=60)
async def test_every_mutation_of_the_audit_log_is_named(database: Database, bar_size: int, bar_seed: int) -> None:
    scene, chance = Scene(), Random(bar_seed)
    await database.write(lambda tx: fill(tx, scene))
    await database.write(unguarded)
    assert await database.read(lambda tx: list(verification.find_faults(tx))) == []

    unseen = []
    for number in range(bar_size):
        misdeed = MISDEEDS[number % len(MISDEEDS)]

        def tried(tx: Tx, misdeed: Any = misdeed) -> None:
            misdeed(tx, chance)
            if not list(verification.find_faults(tx)):
                unseen.append(misdeed.__name__)
            raise UndoError

        with pytest.raises(UndoError):
            await database.write(tried)
    await database.write(guarded)
    assert unseen == []


async def test_entries_written_at_once_form_one_chain(database: Database) -> None:
    scene = Scene()
    await asyncio.gather(
        *(
            database.write(
                lambda tx, n=n: audit.write(
                    tx, Change("console", "command line", "test", str(n)), now=scene.clock.now()
                )
            )
            for n in range(20)
        )
    )
    assert await database.read(lambda tx: list(verification.find_faults(tx))) == []
    rows = await database.read(lambda tx: tx.all("select seq from audit_entry order by seq"))
    assert [row["seq"] for row in rows] == list(range(1, 21))
