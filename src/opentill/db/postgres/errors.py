"""What OpenTill calls the errors of PostgreSQL."""

import re

import psycopg
from psycopg.errors import Diagnostic

from opentill.db.errors import CheckViolation, DatabaseError, IntegrityViolation, Unavailable, UniqueViolation


class InTheWay(DatabaseError):  # noqa: N818 - names what happened
    """Another transaction was in the way: this one was rolled back and may run again."""


class ConnectionLost(Unavailable):
    """The connection broke before the commit was sent: nothing was stored, and the unit of work may run again."""


def translated(error: psycopg.Error) -> DatabaseError:
    """Return what OpenTill calls this error of a connection that still works."""
    state, diagnostic = error.sqlstate or "", error.diag
    message = diagnostic.message_primary or str(error)
    match state:
        case "23505":
            return UniqueViolation(message, unique_columns(diagnostic))
        case "23514":
            return CheckViolation(message, diagnostic.constraint_name or message)
        case "23502":
            return IntegrityViolation(message, f"{diagnostic.table_name}.{diagnostic.column_name}")
        case "40001" | "40P01":
            return InTheWay(message)
        case "55P03":  # the lock was not given in time
            return Unavailable(message)
    match state[:2]:
        case "23":
            return IntegrityViolation(message, diagnostic.constraint_name or message)
        case "08" | "53" | "57" | "58":  # connection, resources, an operator stepped in, the disk
            return Unavailable(message)
    return DatabaseError(message)


def unique_columns(diagnostic: Diagnostic) -> str:
    """Return `table.column, table.column`, or the index where it is on an expression, as SQLite says it."""
    columns = re.match(r"[^(]*\(([\w, ]+)\)=", diagnostic.message_detail or "")
    if columns is None:
        return f"index '{diagnostic.constraint_name}'"
    return ", ".join(f"{diagnostic.table_name}.{column}" for column in columns[1].split(", "))


def is_stale_plan(error: psycopg.Error) -> bool:
    """Was the statement prepared before a migration changed what it returns?"""
    return error.diag.source_function == "RevalidateCachedQuery"
