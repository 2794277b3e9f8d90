"""`opentill keys rotate`: a new master key, and everything sealed anew under it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import typer

from opentill import master_keys
from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.db import Database, Row, Tx, open_database
from opentill.kernel.secret import Keyring, SealedError, with_new_key
from opentill.settings import Settings

app = typer.Typer(help="The master keys that seal secrets at rest.", no_args_is_help=True)

BATCH: Final = 200  # rows in one transaction
SHOWN_MAX: Final = 20  # values that do not open, by name


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed column: its table, what names a row, and in SQL where a value is bound to, the end of its context."""

    table: str
    column: str
    names: Sequence[str]
    place: str

    def select(self, *, going_on: bool) -> str:
        """Return how to find what older keys sealed, in order of names; *going_on* after the row of given names."""
        names = ", ".join(self.names)
        rest = f"and ({names}) > ({', '.join(f':{name}' for name in self.names)})" if going_on else ""
        return f"""
            select {names}, {self.column} as sealed, {self.place} as place
              from {self.table}
             where {self.column} <> '' and {self.column} not like :current {rest}
             order by {names} limit :limit
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
    Sealed("operator", "sealed_totp", ("id",), "id"),
    Sealed("mail", "sealed", ("id",), "public_id"),
    Sealed("submission", "sealed", ("id",), "payment_id"),
    Sealed("proof", "sealed", ("id",), "submission_id"),
    Sealed("export_part", "sealed", ("export_id", "number"), "export_id || '/' || number"),
    Sealed("webhook_secret", "sealed", ("id",), "endpoint_id || '/' || id"),
    Sealed("webhook_endpoint", "sealed", ("id",), "id"),
    Sealed("webhook_signing_key", "sealed", ("kid",), "merchant_id || '/' || mode || '/' || kid"),
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

    A run that was interrupted is finished by the next one; of two at once, one waits for the other.
    """
    settings = Settings.from_environment(data=data)
    prepare(settings)
    with master_keys.alone(settings):
        keyring = _with_new_key(settings)
        done = asyncio.run(_reseal_everything(settings, keyring))
    for name, column in done.items():
        print(f"  {name:<32} {column.sealed:>8} sealed anew")
    print(f"Key {keyring.current} seals from now on. Older keys stay in the file for backups made before today.")
    closed = {name: column.closed for name, column in done.items() if column.closed}
    for name, places in closed.items():
        print(f"{name}: {len(places)} values do not open with any key of the file: {', '.join(places[:SHOWN_MAX])}")
    if closed:
        raise typer.Exit(1)


def _with_new_key(settings: Settings) -> Keyring:
    path = master_keys.key_file(settings)
    master_keys.replace(path, with_new_key(master_keys.read(path)))
    return master_keys.open_keyring(settings)


@dataclass(slots=True)
class Column:
    """What became of a column: how many values were sealed anew, and the places of those that do not open."""

    sealed: int = 0
    closed: list[str] = field(default_factory=list)


async def _reseal_everything(settings: Settings, keyring: Keyring) -> dict[str, Column]:
    async with open_database(settings.database_url) as database:
        return {f"{each.table}.{each.column}": await _reseal(database, each, keyring) for each in SEALED}


async def _reseal(database: Database, each: Sealed, keyring: Keyring) -> Column:
    """Seal a column anew, batch by batch, in order of its rows' names."""
    done, last = Column(), None
    while True:
        batch = partial(_reseal_batch, each=each, keyring=keyring, after=last)
        rows, closed = await database.write(batch)
        done.sealed += len(rows) - len(closed)
        done.closed += closed
        if len(rows) < BATCH:
            return done
        last = rows[-1]


def _reseal_batch(tx: Tx, *, each: Sealed, keyring: Keyring, after: Row | None) -> tuple[Sequence[Row], list[str]]:
    """Seal some rows anew; return them, and the places of the values that do not open, which stay as they are.

    A row that changed meanwhile is left as it is too: it was sealed by a running process.
    """
    names = {name: after[name] for name in each.names} if after is not None else {}
    rows = tx.all(each.select(going_on=bool(names)), current=f"v1.{keyring.current}.%", limit=BATCH, **names)
    closed = []
    for row in rows:
        context = each.context(row)
        try:
            plain = keyring.open(row["sealed"], context)
        except SealedError:
            closed.append(row["place"])
            continue
        named = {name: row[name] for name in each.names}
        tx.run(each.update(), sealed=keyring.seal(plain, context), old=row["sealed"], **named)
    return rows, closed
