"""`opentill domain`: hosts of merchants' own."""

import asyncio
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

import typer

from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.db import Tx
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.main import assembled
from opentill.merchants import domains, service
from opentill.merchants.domains import Domain
from opentill.operators import audit
from opentill.settings import Settings
from opentill.workers.domains import check

app = typer.Typer(help="Hosts of a merchant's own, for its checkout, links and API.", no_args_is_help=True)

Merchant = Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")]
Host = Annotated[str, typer.Argument(help="The host's name, such as pay.shop.example.")]


@app.command("add")
def add(merchant: Merchant, host: Host, data: Data = None) -> None:
    """Name a host; prints the TXT record that proves it is the merchant's."""
    settings = Settings.from_environment(data=data)
    main_host = urlsplit(settings.public_url).hostname or ""
    clock = SystemClock()
    ids = SystemIds(clock)
    added = _change(
        settings,
        merchant,
        "domain.added",
        lambda tx, owner_id: domains.add(tx, host, merchant_id=owner_id, main_host=main_host, ids=ids, now=clock.now()),
    )
    name, text = added.proof
    print(f'Make this record, then run: opentill domain check {merchant} {added.host}\n\n  {name}. TXT "{text}"')


@app.command("check")
def check_host(merchant: Merchant, host: Host, data: Data = None) -> None:
    """Look at the host's records now. Once the TXT record and its address fit, it serves."""
    settings = Settings.from_environment(data=data)
    prepare(settings)

    async def look() -> Domain:
        async with assembled(settings) as assembly:
            database = assembly.dependencies.db
            found = await database.read(
                lambda tx: domains.one(tx, host, merchant_id=service.find_merchant(tx, merchant).id)
            )
            return await check(assembly.dependencies, found)

    _show(asyncio.run(look()))


@app.command("primary")
def primary(merchant: Merchant, host: Host, data: Data = None) -> None:
    """Have the merchant's links carry this host."""
    settings = Settings.from_environment(data=data)
    _show(
        _change(
            settings,
            merchant,
            "domain.made_primary",
            lambda tx, owner_id: domains.make_primary(tx, host, merchant_id=owner_id),
        )
    )


@app.command("remove")
def remove(merchant: Merchant, host: Host, data: Data = None) -> None:
    """Forget a host: it stops serving at once."""
    settings = Settings.from_environment(data=data)
    gone = _change(
        settings,
        merchant,
        "domain.removed",
        lambda tx, owner_id: domains.remove(tx, host, merchant_id=owner_id),
    )
    print(f"{gone.host} is forgotten.")


@app.command("list")
def show(merchant: Merchant, data: Data = None) -> None:
    """Show a merchant's hosts."""
    settings = Settings.from_environment(data=data)
    prepare(settings)

    async def read() -> list[Domain]:
        async with assembled(settings) as assembly:
            return list(
                await assembly.dependencies.db.read(
                    lambda tx: domains.of_merchant(tx, service.find_merchant(tx, merchant).id)
                )
            )

    for domain in asyncio.run(read()):
        _show(domain)


def _change(settings: Settings, merchant: str, action: str, change: Callable[[Tx, int], Domain]) -> Domain:
    """Make a change and write it to the audit log."""
    prepare(settings)

    async def make() -> Domain:
        async with assembled(settings) as assembly:
            now = assembly.dependencies.clock.now()

            def made(tx: Tx) -> Domain:
                found = change(tx, service.find_merchant(tx, merchant).id)
                audit.write(tx, audit.at_console(action, f"merchant:{merchant}", host=found.host), now=now)
                return found

            return await assembly.dependencies.db.write(made)

    return asyncio.run(make())


def _show(domain: Domain) -> None:
    notes = ["primary"] if domain.primary else []
    notes += ["its records do not fit any more"] if domain.failing_since else []
    print(f"{domain.host}: {domain.state}{' (' + ', '.join(notes) + ')' if notes else ''}")
