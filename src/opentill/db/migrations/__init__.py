"""The schema's history: numbered revisions with SQL by hand, run by Alembic.

A revision is `versions/NNNN_what_it_does.py` and its id is the number. Alembic and SQLAlchemy are imported only when
there is something to migrate, so that starting stays fast.
"""

from pathlib import Path

from opentill.db import sqlite
from opentill.db.errors import DatabaseError
from opentill.db.url import sqlite_path

HERE = Path(__file__).parent


class SchemaTooNew(DatabaseError):  # noqa: N818 - names what happened
    """The database was migrated by a newer OpenTill than this one."""


def migrate(url: str, *, scripts: Path = HERE) -> None:
    """Bring the database at *url* to the newest revision. Processes that start together wait for each other.

    Raises `SchemaTooNew`, or `Unavailable` when the database does not answer. *scripts* holds `env.py` and `versions/`.
    """
    known = revisions(scripts)
    now = current(url)
    if now == head(scripts):
        return
    if now is not None and now not in known:
        raise SchemaTooNew(
            f"the database is at revision {now}, this OpenTill knows revisions up to {head(scripts)}: "
            "start the newer version, or restore a backup made before the upgrade"
        )
    from opentill.db.migrations.upgrade import upgrade  # imports Alembic

    upgrade(url, scripts)


def revisions(scripts: Path = HERE) -> list[str]:
    """Return the ids of all revisions this version knows, oldest first."""
    return sorted(path.name[:4] for path in (scripts / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def head(scripts: Path = HERE) -> str | None:
    """Return the id of the newest revision."""
    return max(revisions(scripts), default=None)


def current(url: str) -> str | None:
    """Return the revision the database is at, None when it is empty. Raises `Unavailable`."""
    path = sqlite_path(url)
    if path is not None:
        return sqlite.stored_revision(path)
    from opentill.db import postgres  # not loaded where SQLite is used

    return postgres.stored_revision(url)
