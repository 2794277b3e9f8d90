"""What every command needs first: the folder, the keys and the tables, made where they are missing."""

from opentill.db.migrations import migrate
from opentill.master_keys import open_keyring
from opentill.settings import Settings


def prepare(settings: Settings) -> None:
    """Make the data folder, the master key and the newest tables. Safe to repeat, and beside a running server."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    open_keyring(settings)
    migrate(settings.database_url)
