"""The address of a database: `sqlite:///…` or `postgresql://…`."""

from pathlib import Path

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite address, None for one of PostgreSQL. Raises `ValueError` for any other.

    `sqlite:///opentill.db` is a file in the working directory, `sqlite:////var/lib/opentill.db` an absolute path.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return Path(url.removeprefix(_SQLITE))
    if url.startswith(_POSTGRES):
        return None
    raise ValueError("a database address starts with sqlite:///<file> or postgresql://<host>")
