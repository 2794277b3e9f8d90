"""The few differences between the databases, by name."""

import re

from opentill.db.transaction import ReadTx, Tx


def for_update(tx: ReadTx, *tables: str) -> str:
    """Lock the selected rows until the commit, of joined *tables* those that are named, in this order.

    SQLite has one writer, so they are locked already.
    """
    of = f" of {', '.join(tables)}" if tables else ""
    return f" for update{of}" if tx.dialect == "postgres" else ""


def for_change(tx: ReadTx) -> str:
    """Lock the selected rows against change, but not against being referred to: accounts, while journals post."""
    return " for no key update" if tx.dialect == "postgres" else ""


def by_bytes(tx: ReadTx) -> str:
    """Compare a text byte by byte, as ids are, whatever the language of the database."""
    return ' collate "C"' if tx.dialect == "postgres" else ""


def skip_locked(tx: ReadTx) -> str:
    """Lock the selected rows and leave out those that somebody else has locked."""
    return " for update skip locked" if tx.dialect == "postgres" else ""


def shared_clock(tx: ReadTx) -> str:
    """Return what the database's clock says, in microseconds. SQLite has none of its own: null."""
    return "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)" if tx.dialect == "postgres" else "null"


def by_index(tx: ReadTx, name: str) -> str:
    """Read a table through this index. PostgreSQL counts how rare a state is; SQLite would walk every row there is."""
    return "" if tx.dialect == "postgres" else f" indexed by {name}"


def next_id(tx: Tx, table: str) -> str:
    """Return what takes a number of a table for a row beside it, so that rows of both can be listed in one order.

    It stands in the statement that stores the row.
    """
    if tx.dialect == "postgres":
        return f"nextval(pg_get_serial_sequence('{table}', 'id'))"
    if not tx.run("update sqlite_sequence set seq = seq + 1 where name = :name", name=table):
        tx.run("insert into sqlite_sequence (name, seq) values (:name, 1)", name=table)
    return f"(select seq from sqlite_sequence where name = '{table}')"


# Types and clauses of the PostgreSQL form, and what SQLite says instead. Text and comments are left alone.
_SPARED = r"'(?:[^']|'')*'|--[^\n]*"
_SQLITE = (
    (r"bigint\s+generated\s+always\s+as\s+identity\s+primary\s+key", "integer primary key autoincrement"),
    (r"bigint|smallint|integer", "integer"),
    (r"bytea", "blob"),
    (r"double\s+precision", "real"),
)
_WORDS = re.compile(f"{_SPARED}|" + "|".join(rf"\b(?P<w{i}>{form})\b" for i, (form, _) in enumerate(_SQLITE)), re.I)
_TABLE_END = re.compile(r"\)\s*(?:with\s*\([^)]*\)\s*)?;?\s*\Z", re.I)
_TABLE = re.compile(r"(?:\s|--[^\n]*\n)*create\s+table\b", re.I)


def ddl(dialect: str, sql: str) -> str:
    """Return one statement of the schema, written in PostgreSQL form, for *dialect*. SQLite tables become strict."""
    if dialect == "postgres":
        return sql

    def word(found: re.Match[str]) -> str:
        return found[0] if found.lastgroup is None else _SQLITE[int(found.lastgroup[1:])][1]

    sql = _WORDS.sub(word, sql)
    return _TABLE_END.sub(") strict", sql) if _TABLE.match(sql) else sql
