"""Runs the SQL that lies beside a revision: one file for both databases, then one for each; a file may be missing."""

from pathlib import Path

from alembic import op

from opentill.db.dialect import ddl


def run(revision: str) -> None:
    """Run the statements of the revision whose file is *revision* (its `__file__`)."""
    stem = Path(revision).with_suffix("")
    dialect = "postgres" if op.get_bind().dialect.name == "postgresql" else "sqlite"
    for statement in statements(stem.with_name(f"{stem.name}.sql")):
        op.execute(ddl(dialect, statement))
    for statement in statements(stem.with_name(f"{stem.name}.{dialect}.sql")):
        op.execute(statement)


def statements(file: Path) -> list[str]:
    """Return the statements of a file, which are separated by a semicolon and a blank line."""
    return file.read_text().split(";\n\n") if file.exists() else []
