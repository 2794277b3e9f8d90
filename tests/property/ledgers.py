"""Everything a database holds, in a form in which two databases can be compared.

Row numbers are replaced by the order of the rows, because a number that a refused insert took is lost on PostgreSQL and
given again on SQLite. What is sealed is left out: it is sealed anew each time.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from opentill.db import ReadTx

Row = dict[str, Any]
Numbers = Mapping[str, Mapping[int, int | str]]  # by table: row number → place in order, or name

ACCOUNT_NAME: Final = ("merchant_id", "mode", "currency", "kind", "gateway")
NUMBERED: Final = {"event": "seq"}  # tables whose row number has another name than `id`
REFERENCES: Final = {
    "merchant_id": "merchant",
    "payment_id": "payment",
    "receipt_id": "receipt",
    "customer_id": "customer",
    "journal_id": "journal",
    "last_journal_id": "journal",
    "endpoint_id": "webhook_endpoint",
    "delivery_id": "webhook_delivery",
    "event_seq": "event",
}
ACCOUNTS: Final = {"posting": "ledger_account", "pix_charge": "pix_account", "pix_key": "pix_account"}
PACKED: Final = (b"x\x01", b"x\x9c", b"x\xda")  # how what zlib packed begins
LEFT_OUT: Final = ("sealed", "sha256")  # sealed anew each time; of a body that may hold a row number
NOT_OURS: Final = ("alembic_version", "sqlite_")
PARTITION: Final = "webhook_attempt_"


def everything(tx: ReadTx) -> dict[str, list[Row]]:
    """Return every row of every table, comparable."""
    tables = {table: [dict(row) for row in tx.all(f"select * from {table}")] for table in names_of_tables(tx)}
    numbers = {table: numbered(table, rows) for table, rows in tables.items()}
    compared = {table: [comparable(table, row, numbers) for row in rows] for table, rows in tables.items()}
    return {table: sorted(rows, key=order) for table, rows in compared.items()}


def names_of_tables(tx: ReadTx) -> list[str]:
    if tx.dialect == "sqlite":
        rows = tx.all("select name from sqlite_schema where type = 'table' order by name")
    else:
        rows = tx.all("select tablename as name from pg_tables where schemaname = 'public' order by tablename")
    return [row["name"] for row in rows if not row["name"].startswith((*NOT_OURS, PARTITION))]


def numbered(table: str, rows: list[Row]) -> dict[int, int | str]:
    """Return the place of each row in the order in which the rows were made. Accounts of one journal have no order."""
    if table == "ledger_account":
        return {row["id"]: " ".join(str(row[name]) for name in ACCOUNT_NAME) for row in rows}
    column = NUMBERED.get(table, "id")
    found = sorted(row[column] for row in rows if isinstance(row.get(column), int))
    return {number: place for place, number in enumerate(found, 1)}


def comparable(table: str, row: Row, numbers: Numbers) -> Row:
    made = {name: value for name, value in row.items() if not name.startswith(LEFT_OUT)}
    for name, value in made.items():
        target = table if name == NUMBERED.get(table, "id") else REFERENCES.get(name)
        if name == "account_id":
            target = ACCOUNTS.get(table, "pix_account")
        if target and isinstance(value, int):
            made[name] = numbers[target].get(value, value)
        elif isinstance(value, bytes):
            made[name] = readable(value)
    if table == "journal" and made["source_type"] == "receipt":
        made["source_id"] = numbers["receipt"][int(made["source_id"])]
    if table == "review_item":
        receipt = json.loads(made["detail"]).get("receipt_id")
        made["detail"] = numbers["receipt"][receipt] if receipt else None
        if made["subject_type"] == "receipt":
            made["subject_id"] = numbers["receipt"][int(made["subject_id"])]
    return made


def readable(value: bytes) -> Any:
    """Return stored bytes as text, unpacked if they are packed, JSON without row numbers."""
    plain = zlib.decompress(value) if value[:2] in PACKED else value
    return without_numbers(plain.decode())


def without_numbers(text: str) -> str:
    """Return JSON text without row numbers, which are under `id` and in cursors, everything else as it was written."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    return json.dumps(_without(document), ensure_ascii=False)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "#"
            if name == "next_cursor" or (name in ("id", "transaction_id") and isinstance(member, int))
            else _without(member)
            for name, member in value.items()
        }
    return [_without(member) for member in value] if isinstance(value, list) else value


def order(row: Row) -> str:
    """Return what rows are sorted by: their place, else all they hold."""
    place = next((row[name] for name in ("seq", "id") if isinstance(row.get(name), int)), None)
    return json.dumps(row, default=str, sort_keys=True) if place is None else f"{place:012}"
