"""Lists of an owner's rows: what narrows them, a page of them, and how many there are."""

from collections.abc import Collection, Mapping, Sequence
from typing import Self

from opentill.db.transaction import ReadTx, Row
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner


class Listing:
    """An owner's rows of one table that meet conditions, newest first. *table* is its name in the statements."""

    def __init__(self, owner: Owner, table: str) -> None:
        self._table = table
        self._clauses = [f"{table}.merchant_id = :merchant_id", f"{table}.mode = :mode"]
        self.params: dict[str, object] = {**owner.columns}

    @property
    def condition(self) -> str:
        return " and ".join(self._clauses)

    def where(self, clause: str, **params: object) -> Self:
        """Keep the rows that meet a clause."""
        self._clauses.append(clause)
        self.params |= params
        return self

    def asked(self, clause: str, **params: object) -> Self:
        """Keep the rows that meet a clause, unless its parameter is None: then nothing was asked for."""
        return self if None in params.values() else self.where(clause, **params)

    def created(self, since: Instant | None, before: Instant | None) -> Self:
        """Keep the rows of a span of time, where one was asked for; *before* is exclusive."""
        self.asked(f"{self._table}.created_at >= :since", since=since)
        return self.asked(f"{self._table}.created_at < :until", until=before)

    def one_of(self, column: str, values: Collection[object] | None) -> Self:
        """Keep the rows that hold one of several values, where any were asked for."""
        if values is None:
            return self
        params = {f"value_{number}": value for number, value in enumerate(values, len(self.params))}
        return self.where(f"{column} in ({', '.join(f':{name}' for name in params)})" if params else "1 = 0", **params)

    def shown_as(self, words: Collection[str] | None, meanings: Mapping[str, str], **params: object) -> Self:
        """Keep the rows of one of several words, where any were asked for; a word without a meaning has no rows."""
        if words is None:
            return self
        clauses = [meanings[word] for word in dict.fromkeys(words) if word in meanings]
        return self.where(f"({' or '.join(clauses) or '1 = 0'})", **params)

    def page(self, tx: ReadTx, select: str, *, limit: int, offset: int = 0, before: int | None = None) -> Sequence[Row]:
        """Return up to *limit* rows of a select: those with ids below *before*, or after *offset* of them."""
        below = "" if before is None else f" and {self._table}.id < :before"
        return tx.all(
            f"{select} where {self.condition}{below} order by {self._table}.id desc limit :limit offset :offset",
            limit=limit,
            offset=offset,
            before=before,
            **self.params,
        )

    def newest(self, tx: ReadTx, select: str) -> Row | None:
        """Return the first row of a select, if there is one."""
        rows = self.page(tx, select, limit=1)
        return rows[0] if rows else None

    def count(self, tx: ReadTx, tables: str) -> int:
        """Return how many there are. *tables* is what the statement reads from."""
        row = tx.one_or_none(f"select count(*) as n from {tables} where {self.condition}", **self.params)
        counted: int = row["n"] if row else 0
        return counted
