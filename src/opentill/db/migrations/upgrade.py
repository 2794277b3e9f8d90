"""Runs Alembic on one database."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def upgrade(url: str, scripts: Path) -> None:
    """Run every revision the database has not seen yet."""
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    command.upgrade(config, "head")
