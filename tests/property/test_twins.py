"""One product, two databases: the same list of operations comes to the same on SQLite and on PostgreSQL.

Answers with their headers, every row of every table, and every request to a receiver are compared, less row numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from opentill.db import open_database
from opentill.outbound.model import OutboundRequest
from tests.conftest import OPTIONS
from tests.property.ledgers import everything, without_numbers
from tests.property.market import Deed, Market
from tests.property.post import Post

BETWEEN_POSTS = 20  # operations
SHOWN_MAX = 3  # differences


@dataclass(frozen=True)
class Life:
    """All that one market came to."""

    deeds: list[Deed]
    tables: dict[str, list[dict[str, Any]]]
    requests: list[OutboundRequest]


@pytest.mark.bar("C13", gate=2_000, target=50_000, quick=160)
async def test_one_list_of_operations_comes_to_the_same_on_both_databases(
    sqlite_url: str,
    postgres_url: str,
    tmp_path: Path,
    bar_size: int,
    bar_seed: int,
    bar_note: Callable[[str], None],
) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()

    one = await live(sqlite_url, folders[0], operations=bar_size, seed=bar_seed)
    other = await live(postgres_url, folders[1], operations=bar_size, seed=bar_seed)

    assert len(one.deeds) == len(other.deeds) == bar_size
    assert differences([shown(deed) for deed in one.deeds], [shown(deed) for deed in other.deeds]) == []
    assert one.tables.keys() == other.tables.keys()
    for table, rows in one.tables.items():
        assert differences(rows, other.tables[table]) == [], table
    assert differences([told(request) for request in one.requests], [told(request) for request in other.requests]) == []
    bar_note(f"{sum(map(len, one.tables.values()))} rows and {len(one.requests)} webhooks are the same")


async def live(url: str, folder: Path, *, operations: int, seed: int) -> Life:
    """Run one market on one database, its post with it."""
    async with open_database(url, options=OPTIONS) as database, Market(database, folder, seed=seed) as market:
        post = Post(market, seed=seed)
        await post.open()
        for done in range(0, operations, BETWEEN_POSTS):
            await market.deal(min(BETWEEN_POSTS, operations - done))
            await post.deliver()
        await market.settle()
        await post.deliver()
        return Life(market.deeds, await database.read(everything), post.receivers.requests)


def differences(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return the first places where two lists differ, with what is there."""
    pairs = enumerate(zip_longest(one, other))
    return [(place, *unlike(here, there)) for place, (here, there) in pairs if here != there][:SHOWN_MAX]


def unlike(here: Any, there: Any) -> tuple[Any, Any]:
    """Return what differs between two things; of rows, only the columns that do."""
    if isinstance(here, dict) and isinstance(there, dict):
        columns = [name for name in here | there if here.get(name) != there.get(name)]
        return {name: here.get(name) for name in columns}, {name: there.get(name) for name in columns}
    return here, there


def shown(deed: Deed) -> tuple[str, Any]:
    """Return what an operation came to, without row numbers in the body of an answer."""
    if isinstance(deed.result, tuple):
        return deed.name, [without_numbers(part) if isinstance(part, str) else part for part in deed.result]
    return deed.name, deed.result


def told(request: OutboundRequest) -> tuple[Any, ...]:
    """Return what a receiver saw. Signatures of bodies that differ in row numbers only differ too, so bodies count."""
    kept = [(name, value) for name, value in request.headers if "signature" not in name.lower()]
    return request.url, kept, without_numbers((request.body or b"").decode())
