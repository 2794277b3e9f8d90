"""A process that tells a story about money until it dies at a place.

Such processes are forked from one that has everything imported, so that a death costs no start of an interpreter.
"""

import asyncio
import multiprocessing
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

from opentill.db import Options, open_database
from opentill.kernel import failpoints
from tests.chaos.money.stories import STORIES, Known, Teller

OPTIONS: Final = Options(writers=4, readers=2)
TOLD: Final = {story.__name__: story for story in STORIES}


def start(url: str, folder: Path, known: Known, story: str, *, dies: str, round_: int) -> ForkServerProcess:
    """Start a process that tells a story and dies at a place: `<place>:exit:<visit>`."""
    forks: ForkServerContext = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__])
    process = forks.Process(target=_tell, args=(url, folder, known, story, dies, round_))
    process.start()
    return process


def _tell(url: str, folder: Path, known: Known, story: str, dies: str, round_: int) -> None:
    failpoints.arm(dies)
    asyncio.run(_told(url, folder, known, story, round_))


async def _told(url: str, folder: Path, known: Known, story: str, round_: int) -> None:
    async with open_database(url, options=OPTIONS) as database:
        teller = Teller(database, folder, known, process=0, round_=round_)
        await TOLD[story](teller)
        await teller.shop.close()
