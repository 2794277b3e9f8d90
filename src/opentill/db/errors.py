"""What a database can answer instead of a result.

    Overloaded               (a kernel Busy) nothing was done; the queue is full or a lock was held too long
    DatabaseError            a statement or a commit failed
    ├── Unavailable          the database is away; after a lost commit the outcome is unknown
    └── IntegrityViolation   the schema forbids what was written; `constraint` says which rule
        ├── UniqueViolation  it exists already
        └── CheckViolation   a CHECK or a guard trigger refused it

A unit of work that met a `DatabaseError` is never committed, even if it caught the error.
"""

from opentill.kernel.errors import Busy

RETRY_AFTER_S = 1


class Overloaded(Busy):
    """There is more work than the database gets done. Nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__("SERVICE_UNAVAILABLE", message, retry_after_s=RETRY_AFTER_S)


class DatabaseError(Exception):
    """A statement or a commit failed; the driver's own error is the cause."""


class Unavailable(DatabaseError):  # noqa: N818 - names what happened
    """The database cannot be reached, or cannot store anything at the moment."""

    retry_after_s = RETRY_AFTER_S


class IntegrityViolation(DatabaseError):  # noqa: N818 - names what happened
    """A constraint of the schema refused the change.

    `constraint` reads the same on both databases: `table.column, table.column` for UNIQUE and NOT NULL, the name
    for a named CHECK, the sentence for a guard trigger. SQLite does not say which foreign key it was.
    """

    def __init__(self, message: str, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(IntegrityViolation):
    """The row exists already."""


class CheckViolation(IntegrityViolation):
    """A CHECK constraint or a guard trigger refused the row."""
