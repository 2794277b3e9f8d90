"""A process dies at each named place of a money flow; afterwards all is as if none had died (R1).

The story goes on in another process: everybody asks again under their keys, and the loops do what is due. What is then
in the books, in both dialects' events and at the bank is compared with the same story told without a death.
"""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from opentill.db import Database, open_database
from opentill.kernel.failpoints import MONEY
from tests.chaos.money.acting import OPTIONS, start
from tests.chaos.money.stories import SETTLES, STORIES, Known, Teller, effects, found

pytestmark = pytest.mark.anyio

DIES_S_MAX = 60.0
PLACES = [(place, story) for story, places in STORIES.items() for place in places]
WITHOUT_A_DEATH: dict[tuple[str, int], dict[str, Any]] = {}
Story = Callable[[Teller], Awaitable[Any]]


def folders(above: Path) -> None:
    for name in ("undisturbed", "disturbed"):
        (above / name).mkdir()


async def finished(
    database: Database, folder: Path, known: Known, story: Story, *, process: int, round_: int
) -> Teller:
    """Tell a story to its end, and let all that follows happen."""
    teller = Teller(database, folder, known, process=process, round_=round_)
    await story(teller)
    await teller.goes_on(*SETTLES)
    return teller


async def undisturbed(story: Story, rounds: int, folder: Path, template: Path) -> dict[str, Any]:
    """Return the effects of a story told so often, in a database of its own, without a death."""
    name = story.__name__, rounds
    if name not in WITHOUT_A_DEATH:
        url = f"sqlite:///{shutil.copyfile(template, folder / 'opentill.db')}"
        async with open_database(url, options=OPTIONS) as database:
            known = await found(database, folder)
            for round_ in range(rounds):
                teller = await finished(database, folder, known, story, process=0, round_=round_)
                WITHOUT_A_DEATH[name] = await effects(teller)
                await teller.shop.close()
    return WITHOUT_A_DEATH[name]


@pytest.mark.bar("R1", part="money", gate=5, target=40, quick=1)
@pytest.mark.parametrize(("place", "story"), PLACES, ids=[place for place, _ in PLACES])
async def test_after_a_death_all_is_as_if_nobody_had_died(
    database: Database,
    database_url: str,
    sqlite_template: Path,
    tmp_path: Path,
    place: str,
    story: Story,
    bar_size: int,
    bar_seed: int,
) -> None:
    folders(tmp_path)
    expected = await undisturbed(story, bar_size, tmp_path / "undisturbed", sqlite_template)
    folder, chance = tmp_path / "disturbed", Random(bar_seed)
    known, happened = await found(database, folder), dict[str, Any]()
    for round_ in range(bar_size):
        visit = 1 if not round_ else chance.randint(1, 2)
        process = start(database_url, folder, known, story.__name__, dies=f"{place}:exit:{visit}", round_=round_)
        await asyncio.to_thread(process.join, DIES_S_MAX)
        assert process.exitcode == -signal.SIGKILL or visit > 1, "the process never came to its failpoint"
        teller = await finished(database, folder, known, story, process=1, round_=round_)
        happened = await effects(teller)
        await teller.shop.close()
    differing = {name for name in expected if happened[name] != expected[name]}
    assert {name: happened[name] for name in differing} == {name: expected[name] for name in differing}


def test_every_place_has_a_story() -> None:
    assert {place for place, _ in PLACES} == MONEY
