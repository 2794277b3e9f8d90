"""Learning what a unit of work asks before it is answered: it runs once to ask, and again with its rows."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from opentill.db.lookup import SecondStatement
from opentill.db.postgres.prepared import Values
from opentill.db.transaction import Dialect, Row
from opentill.db.unit import TooManyRows


class Unasked(BaseException):
    """What a unit of work wants to know is not known yet. Not for it to catch."""


class Question:
    """A `ReadTx` that notes what is asked, and has the rows when the unit of work runs again."""

    dialect: Dialect = "postgres"

    def __init__(self) -> None:
        self.sql = ""
        self.params: Mapping[str, object] = {}
        self.rows: Sequence[Values] | None = None

    def one_or_none(self, sql: str, /, **params: object) -> Row | None:
        rows = self.all(sql, **params)
        if len(rows) > 1:
            raise TooManyRows(sql)
        return rows[0] if rows else None

    def all(self, sql: str, /, **params: object) -> Sequence[Row]:
        if self.rows is None:
            self.sql, self.params = sql, params
            raise Unasked
        if (sql, params) != (self.sql, self.params):
            raise SecondStatement
        return self.rows


def asked_by(work: Callable[[Any], Any]) -> Question:
    """Return what a work of one statement asks; a question without words where it asks nothing."""
    question = Question()
    with suppress(Unasked):
        work(question)
    return question
