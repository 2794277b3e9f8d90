"""Every table of the first release. The SQL lies beside this file, one file for both databases, one for each."""

from pathlib import Path

from alembic import op

from opentill.db.dialect import ddl

revision = "0001"
down_revision = None

HERE = Path(__file__).parent


def upgrade() -> None:
    dialect = "postgres" if op.get_bind().dialect.name == "postgresql" else "sqlite"
    for statement in (HERE / "0001_foundation.sql").read_text().split(";\n\n"):
        op.execute(ddl(dialect, statement))
    for statement in (HERE / f"0001_foundation.{dialect}.sql").read_text().split(";\n\n"):
        op.execute(statement)
