"""`opentill portal`: links by which somebody without an account looks after webhook endpoints (webhooks.md §12)."""

import asyncio
from typing import Annotated

import typer

from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import DAY, SystemClock
from opentill.kernel.ids import SystemIds
from opentill.master_keys import open_keyring
from opentill.merchants import service as merchants
from opentill.operators import audit
from opentill.settings import Settings
from opentill.web.engine import bounds_of
from opentill.webhooks import portal_access
from opentill.webhooks.portal_access import RIGHTS

app = typer.Typer(help="Links for whoever runs a receiving system and has no account here.", no_args_is_help=True)

Merchant = Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")]


@app.command("link")
def link(
    merchant: Merchant,
    endpoint: Annotated[list[str], typer.Option(help="An endpoint, wh_…; repeat for several.")],
    data: Data = None,
    right: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(RIGHTS)}; repeat for several. Reading always is. Default: all but edit."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="For how many days it works.")] = 1,
) -> None:
    """Print a link that shows these endpoints, their deliveries and attempts, and allows what you say.

    Whoever has the link has these rights, without signing in: send it as you would send a password. It is not stored
    and cannot be shown again; 'opentill portal revoke' ends it and everything it opened.
    """
    settings = Settings.from_environment(data=data)
    prepare(settings)
    rights = right or [one for one in RIGHTS if one != "edit"]
    token = asyncio.run(_link(settings, merchant, endpoint, rights, days))
    print(f"{settings.public_url}/portal/{token}")


@app.command("revoke")
def revoke(
    merchant: Merchant,
    jti: Annotated[str, typer.Argument(metavar="LINK_ID", help="The id of the link, from the audit log.")],
    data: Data = None,
) -> None:
    """End a link, and every session it opened, now."""
    settings = Settings.from_environment(data=data)
    prepare(settings)
    asyncio.run(_revoke(settings, merchant, jti))
    print("The link does not work any more.")


async def _link(settings: Settings, uuid: str, endpoints: list[str], rights: list[str], days: int) -> str:
    clock = SystemClock()
    ids, keyring = SystemIds(clock), open_keyring(settings)

    def make(tx: Tx) -> str:
        token = portal_access.make_link(
            tx,
            owner=merchants.find_merchant(tx, uuid).owner,
            endpoints=endpoints,
            rights=rights,
            ids=ids,
            keyring=keyring,
            now=clock.now(),
            by=audit.at_console("portal_link.create", uuid),
            life=days * DAY,
            bounds=bounds_of(settings),
        )
        return token.reveal()

    async with open_database(settings.database_url) as database:
        return await database.write(make)


async def _revoke(settings: Settings, uuid: str, jti: str) -> None:
    now = SystemClock().now()

    def end(tx: Tx) -> None:
        owner = merchants.find_merchant(tx, uuid).owner
        portal_access.revoke_link(tx, owner=owner, jti=jti, now=now, by=audit.at_console("portal_link.revoke", jti))

    async with open_database(settings.database_url) as database:
        await database.write(end)
