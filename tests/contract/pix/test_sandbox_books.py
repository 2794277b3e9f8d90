"""The sandbox bank's books: requests of one turn of the event loop share a commit, and none is answered before it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opentill.sandbox_psp.store import Store

pytestmark = pytest.mark.anyio


class Books:
    """The bank's books, and somebody else who reads them."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self._path = path

    def write(self, name: str) -> None:
        self.store.run("insert into meta (name, value) values (:name, '')", name=name)

    def kept(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as other:
            return [name for (name,) in other.execute("select name from meta order by name")]

    async def request(self, name: str) -> None:
        """Write something, as a request does, and wait until it is stored."""
        with self.store.shared():
            self.write(name)
        assert name not in self.kept()
        await self.store.stored()

    async def broken_request(self) -> None:
        with self.store.shared():
            self.write("broken")
            raise LookupError


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = Books(tmp_path / "bank.db")
    yield books
    books.store.close()


async def test_requests_of_one_turn_share_a_commit_that_they_wait_for(books: Books) -> None:
    await asyncio.gather(books.request("one"), books.request("two"))
    assert books.kept() == ["one", "two"]


async def test_what_breaks_undoes_itself_alone(books: Books) -> None:
    told = await asyncio.gather(
        books.request("one"), books.broken_request(), books.request("two"), return_exceptions=True
    )
    assert [type(error) for error in told] == [type(None), LookupError, type(None)]
    assert books.kept() == ["one", "two"]


async def test_a_transaction_that_is_lost_is_told_to_all_of_its_turn(books: Books) -> None:
    async def losing_request() -> None:
        with books.store.shared():
            books.store.run("rollback")  # as SQLite does where a disk is full
            raise LookupError

    told = await asyncio.gather(books.request("one"), losing_request(), return_exceptions=True)
    assert [type(error) for error in told] == [sqlite3.OperationalError, LookupError]
    await books.request("after")
    assert books.kept() == ["after"]


async def test_who_stops_waiting_leaves_the_others_waiting(books: Books) -> None:
    waiting = [asyncio.create_task(books.request(name)) for name in ("one", "two")]
    asyncio.get_running_loop().call_soon(waiting[0].cancel)  # before the commit
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert (told[1], books.kept()) == (None, ["one", "two"])


async def test_a_transaction_of_its_own_leaves_what_was_shared(books: Books) -> None:
    def fails() -> None:
        with books.store.transaction():
            books.write("own")
            raise LookupError

    with books.store.shared():
        books.write("shared")
    with pytest.raises(LookupError):
        fails()
    assert books.kept() == ["shared"]


async def test_books_that_close_keep_what_is_shared(tmp_path: Path) -> None:
    books = Books(tmp_path / "bank.db")
    with books.store.shared():
        books.write("last")
    books.store.close()
    assert books.kept() == ["last"]
    await asyncio.sleep(0)
