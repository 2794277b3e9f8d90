"""Many rows in one statement, on both databases: lists, row sets and multi-row inserts.

What comes in batches is written in batches: the webhook engine may use less than one statement a delivery.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentill.db.transaction import ReadTx, Tx
from opentill.kernel.json_text import compact

ROWS_PER_INSERT_MAX: Final = 50


def among(tx: ReadTx, name: str) -> str:
    """Return `in (…)` for the parameter *name*, which `numbers` or `texts` made."""
    return f"= any(:{name})" if tx.dialect == "postgres" else f"in (select value from json_each(:{name}))"


def numbers(tx: ReadTx, values: Iterable[int]) -> str:
    """Return the parameter for `among` with whole numbers: a text on both databases, which the quick way can bind."""
    listed = ",".join(str(int(value)) for value in values)
    return f"{{{listed}}}" if tx.dialect == "postgres" else f"[{listed}]"


def texts(tx: ReadTx, values: Iterable[str]) -> object:
    """Return the parameter for `among` with texts."""
    listed = list(values)
    return listed if tx.dialect == "postgres" else compact(listed).decode()


def row_set(tx: ReadTx, name: str, columns: Mapping[str, str]) -> str:
    """Return a table expression over the parameter *name*, which `rows` made; *columns* are names and types."""
    if tx.dialect == "postgres":
        fields = (f"cast(value ->> {i} as {kind}) as {column}" for i, (column, kind) in enumerate(columns.items()))
        return f"(select {', '.join(fields)} from jsonb_array_elements(cast(:{name} as jsonb)))"
    fields = (f"json_extract(value, '$[{i}]') as {column}" for i, column in enumerate(columns))
    return f"(select {', '.join(fields)} from json_each(:{name}))"


def rows(values: Iterable[Sequence[object]]) -> str:
    """Return the parameter for `row_set`. Values are numbers, texts and None."""
    return compact([list(row) for row in values]).decode()


def append(tx: Tx, table: str, columns: Mapping[str, str], values: Sequence[Mapping[str, object]]) -> int:
    """Insert rows that meet no conflict, and return how many; *columns* are names and types, values texts and numbers.

    The cheapest way of each database: PostgreSQL reads all rows from one text, in a third of the time.
    """
    names = ", ".join(columns)
    if tx.dialect == "postgres":
        types = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        return tx.run(
            f"""
            insert into {table} ({names})
            select {names} from json_to_recordset(cast(:rows as json)) as given ({types})
            """,
            rows=compact(values).decode(),
        )
    marked = ", ".join(f":{column}" for column in columns)
    return tx.many(f"insert into {table} ({names}) values ({marked})", values)


def insert(
    tx: Tx, table: str, columns: Mapping[str, str], values: Sequence[Mapping[str, Any]], *, conflict: str = ""
) -> None:
    """Insert rows, before the next statement. *columns* are names and types, values texts, numbers and bytes (of type
    `bytea`).

    PostgreSQL reads all rows from one text; SQLite gets a batch a statement.
    """
    if tx.dialect == "postgres":
        if values:
            tx.defer(_insert_text(table, columns, conflict), rows=_text_of(columns, values))
        return
    for batch in _batches(values):
        tx.run(_insert(table, columns, len(batch), conflict), **_numbered(batch))


def insert_returning(
    tx: Tx,
    table: str,
    columns: Mapping[str, str],
    values: Sequence[Mapping[str, Any]],
    *,
    conflict: str,
    returning: str,
) -> Sequence[Any]:
    """Insert rows in this order, and return what the new ones answer."""
    if tx.dialect == "postgres":
        sql = f"{_insert_text(table, columns, conflict)} returning {returning}"
        return tx.all(sql, rows=_text_of(columns, values)) if values else []
    return [
        row
        for batch in _batches(values)
        for row in tx.all(_insert(table, columns, len(batch), conflict) + f" returning {returning}", **_numbered(batch))
    ]


def _insert_text(table: str, columns: Mapping[str, str], conflict: str) -> str:
    """Return a statement of PostgreSQL that inserts what `_text_of` wrote."""
    types = ", ".join(f"{column} {'text' if kind == 'bytea' else kind}" for column, kind in columns.items())
    read = ", ".join(f"decode({column}, 'hex')" if kind == "bytea" else column for column, kind in columns.items())
    return f"""
        insert into {table} ({", ".join(columns)})
        select {read} from json_to_recordset(cast(:rows as json)) as given ({types}) {conflict}"""


def _text_of(columns: Mapping[str, str], values: Sequence[Mapping[str, Any]]) -> str:
    listed = [dict(row) for row in values]
    for column in (column for column, kind in columns.items() if kind == "bytea"):
        for row in listed:
            row[column] = None if row[column] is None else row[column].hex()
    return compact(listed).decode()


def _batches(values: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[Mapping[str, Any]]]:
    return (values[i : i + ROWS_PER_INSERT_MAX] for i in range(0, len(values), ROWS_PER_INSERT_MAX))


def _insert(table: str, columns: Iterable[str], count: int, conflict: str) -> str:
    tuples = ", ".join(f"({', '.join(f':{column}_{i}' for column in columns)})" for i in range(count))
    return f"insert into {table} ({', '.join(columns)}) values {tuples} {conflict}"


def _numbered(batch: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{column}_{i}": value for i, row in enumerate(batch) for column, value in row.items()}
