"""`opentill keys rotate`: a new master key, and everything sealed anew under it."""

import asyncio
from collections.abc import Callable, Sequence
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
    """A sealed column: its table, what names a row, and the context a row's value was sealed under."""

    table: str
    column: str
    names: Sequence[str]
    context: Callable[[Row], str]
    source: str = ""  # what to select from, where the context needs another table

    def select(self) -> str:
        columns = ", ".join((*(f"t.{name}" for name in self.names), f"t.{self.column} as sealed"))
        source = self.source or f"{self.table} t"
        extra = ", m.uuid as merchant_uuid" if self.source else ""
        return f"""
            select {columns}{extra} from {source}
             where t.{self.column} is not null and t.{self.column} <> '' and t.{self.column} not like :current
             limit :limit
        """

    def update(self) -> str:
        named = " and ".join(f"{name} = :{name}" for name in self.names)
        return f"update {self.table} set {self.column} = :sealed where {named} and {self.column} = :old"


_OF_MERCHANT: Final = "pix_account t join merchant m on m.id = t.merchant_id"
SEALED: Final = (
    Sealed("merchant", "sealed_secret", ("id", "uuid"), lambda row: f"merchant.sealed_secret/{row['uuid']}"),
    Sealed("customer", "sealed", ("id", "uuid"), lambda row: f"customer.sealed/{row['uuid']}"),
    Sealed(
        "pix_account",
        "sealed_credentials",
        ("id",),
        lambda row: f"pix_account.sealed_credentials/{row['merchant_uuid']}",
        _OF_MERCHANT,
    ),
    Sealed(
        "pix_account",
        "sealed_hook_token",
        ("id",),
        lambda row: f"pix_account.sealed_hook_token/{row['merchant_uuid']}",
        _OF_MERCHANT,
    ),
    Sealed(
        "webhook_secret",
        "sealed",
        ("id", "endpoint_id"),
        lambda row: f"webhook_secret.sealed/{row['endpoint_id']}/{row['id']}",
    ),
    Sealed(
        "idempotency",
        "sealed_body",
        ("merchant_id", "mode", "surface", "scope", "key"),
        lambda row: f"idempotency.sealed_body/{row['merchant_id']}/{row['mode']}/{row['surface']}/{row['key']}",
    ),
)


@app.callback()
def _group() -> None:
    """The master keys that seal secrets at rest."""


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
