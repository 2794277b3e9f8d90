"""`opentill keys rotate`: a new master key, and everything sealed anew under it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer

from opentill import master_keys
from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.db import Database, Row, Tx, open_database
from opentill.kernel.secret import Keyring, with_new_key
from opentill.settings import Settings

app = typer.Typer(help="The master keys that seal secrets at rest.", no_args_is_help=True)

BATCH: Final = 200  # rows in one transaction


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed column: its table, what names a row, and in SQL where a value is bound to, the end of its context."""

    table: str
    column: str
    names: Sequence[str]
    place: str

    def select(self) -> str:
        return f"""
            select {", ".join(self.names)}, {self.column} as sealed, {self.place} as place
              from {self.table}
             where {self.column} <> '' and {self.column} not like :current
             limit :limit
        """

    def update(self) -> str:
        named = " and ".join(f"{name} = :{name}" for name in self.names)
        return f"update {self.table} set {self.column} = :sealed where {named} and {self.column} = :old"

    def context(self, row: Row) -> str:
        return f"{self.table}.{self.column}/{row['place']}"


_MERCHANT: Final = "(select uuid from merchant where id = pix_account.merchant_id)"
SEALED: Final = (
    Sealed("merchant", "sealed_secret", ("id",), "uuid"),
    Sealed("customer", "sealed", ("id",), "uuid"),
    Sealed("pix_account", "sealed_credentials", ("id",), _MERCHANT),
    Sealed("pix_account", "sealed_hook_token", ("id",), _MERCHANT),
    Sealed("webhook_secret", "sealed", ("id",), "endpoint_id || '/' || id"),
    Sealed(
        "idempotency",
        "sealed_body",
        ("merchant_id", "mode", "surface", "scope", "key"),
        "merchant_id || '/' || mode || '/' || surface || '/' || key",
    ),
)


@app.command("rotate")
def rotate(data: Data = None) -> None:
    """Make a new master key and seal every stored secret anew under it. Running processes go on meanwhile.

    A run that was interrupted is finished by the next one.
    """
    settings = Settings.from_environment(data=data)
    prepare(settings)
    keyring = _with_new_key(settings)
    done = asyncio.run(_reseal_everything(settings, keyring))
    for name, rows in done.items():
        print(f"  {name:<32} {rows:>8} sealed anew")
    print(f"Key {keyring.current} seals from now on. Older keys stay in the file for backups made before today.")


def _with_new_key(settings: Settings) -> Keyring:
    path = master_keys.key_file(settings)
    master_keys.replace(path, with_new_key(master_keys.read(path)))
    return master_keys.open_keyring(settings)


async def _reseal_everything(settings: Settings, keyring: Keyring) -> dict[str, int]:
    async with open_database(settings.database_url) as database:
        return {f"{each.table}.{each.column}": await _reseal(database, each, keyring) for each in SEALED}


async def _reseal(database: Database, each: Sealed, keyring: Keyring) -> int:
    """Seal a column anew, batch by batch; return how many rows that took."""
    total = 0
    while True:
        done = await database.write(lambda tx: _reseal_batch(tx, each, keyring))
        total += done
        if done < BATCH:
            return total


def _reseal_batch(tx: Tx, each: Sealed, keyring: Keyring) -> int:
    """Seal some rows anew. A row that changed meanwhile is left as it is: it was sealed by a running process."""
    rows = tx.all(each.select(), current=f"v1.{keyring.current}.%", limit=BATCH)
    for row in rows:
        context = each.context(row)
        tx.run(
            each.update(),
            sealed=keyring.seal(keyring.open(row["sealed"], context), context),
            old=row["sealed"],
            **{name: row[name] for name in each.names},
        )
    return len(rows)
