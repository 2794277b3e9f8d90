"""A process that writes pairs of rows, says which were acknowledged, and kills itself where it is told to.

    python -m tests.contract.database.dying <url> <where: between | end | answered | never>

`between` dies in the middle of the 20th unit of work, `end` after the last statement of the last unit of a group,
`answered` on the first acknowledgement. Each acknowledged number is a line on standard output.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable

from opentill.db import Database, Options, Tx, open_database

GROUP = 40


def pair(number: int, *, dies_between: bool, dies_at_end: bool) -> Callable[[Tx], None]:
    """Return a unit of work that writes two rows, which belong together."""

    def work(tx: Tx) -> None:
        tx.run("insert into account (name) values (:name)", name=f"{number}-first")
        if dies_between:
            die()
        tx.run("insert into account (name) values (:name)", name=f"{number}-second")
        if dies_at_end:
            die()

    return work


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def write(bank: Database, number: int, where: str) -> None:
    place = number % GROUP
    await bank.write(
        pair(
            number,
            dies_between=where == "between" and place == GROUP // 2 and number > GROUP,
            dies_at_end=where == "end" and place == GROUP - 1 and number > GROUP,
        )
    )
    os.write(1, b"%d\n" % number)
    if where == "answered" and number > GROUP:
        die()


async def main(url: str, where: str) -> None:
    async with open_database(url, options=Options(writers=4)) as bank:
        for start in itertools.count(0, GROUP):
            await asyncio.gather(*(write(bank, number, where) for number in range(start, start + GROUP)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
