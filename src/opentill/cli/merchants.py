"""`opentill merchant`: make merchants and their credentials from the command line."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from opentill.cli.options import Data, Json
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.main import Assembly, assembled
from opentill.merchants import service
from opentill.merchants.model import DEFAULT_SCOPES, KEY_RATE_MAX, SCOPES, Merchant
from opentill.operators import audit
from opentill.settings import Settings
from opentill.web.addresses import is_network
from opentill.web.onboarding import open_merchant

app = typer.Typer(help="Merchants (brands) and their credentials.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The merchant's name, as payers see it.")],
    data: Data = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox/--live", help="A sandbox merchant comes with test gateways and a test bank.")
    ] = True,
    rate_limit: Annotated[
        int | None, typer.Option(min=1, max=KEY_RATE_MAX, help="Requests per minute of its API key.")
    ] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(help="An address or network that may use its PIX credentials; live ones need at least one."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Make this many, numbered.")] = 1,
    as_json: Json = False,
) -> None:
    """Make a merchant with an API key and PIX credentials, which are shown this once."""
    strange = [entry for entry in allow_ip or () if not is_network(entry)]
    if strange:
        raise Refused("INVALID_ADDRESS", f"{', '.join(strange)} is no address and no network.")
    settings = Settings.from_environment(data=data)
    prepare(settings)
    names = [name] if count == 1 else [f"{name} {number}" for number in range(1, count + 1)]
    making = add_merchants(settings, names, sandbox=sandbox, rate_limit=rate_limit, allowed_ips=allow_ip or ())
    for made in asyncio.run(making):
        print(json.dumps(made) if as_json else _readable(made))


@app.command("key")
def key(
    merchant: Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")],
    data: Data = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "Default",
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; repeat for several. Default: read and write.")
    ] = None,
    rate_limit: Annotated[int | None, typer.Option(min=1, max=KEY_RATE_MAX, help="Requests per minute.")] = None,
    as_json: Json = False,
) -> None:
    """Make another API key for a merchant; it is shown this once."""
    scopes = scope or list(DEFAULT_SCOPES)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise Refused("INVALID_SCOPES", f"no such scope: {', '.join(unknown)}. Scopes are {', '.join(SCOPES)}.")
    settings = Settings.from_environment(data=data)
    prepare(settings)
    made = asyncio.run(_add_key(settings, merchant, name=name, scopes=scopes, rate_limit=rate_limit))
    print(json.dumps(made) if as_json else _readable(made))


async def _add_key(
    settings: Settings, uuid: str, *, name: str, scopes: Sequence[str], rate_limit: int | None
) -> dict[str, Any]:
    clock = SystemClock()
    ids = SystemIds(clock)

    def make(tx: Tx) -> dict[str, Any]:
        owner = service.find_merchant(tx, uuid).owner
        key = service.create_api_key(
            tx, owner=owner, ids=ids, now=clock.now(), name=name, scopes=scopes, rate_limit=rate_limit
        )
        audit.write(tx, audit.at_console("api_key.created", key.reveal()[:11]), now=clock.now())
        return {"merchant_api_key": key.reveal(), "scopes": list(scopes)}

    async with open_database(settings.database_url) as database:
        return await database.write(make)


async def add_merchants(
    settings: Settings,
    names: Sequence[str],
    *,
    sandbox: bool,
    rate_limit: int | None = None,
    outbound_allow: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Make merchants; return each one's id and credentials."""
    mode = Mode.SANDBOX if sandbox else Mode.LIVE
    async with assembled(settings) as assembly:
        return [
            await _add(
                assembly,
                name,
                mode=mode,
                rate_limit=rate_limit,
                outbound_allow=outbound_allow,
                allowed_ips=allowed_ips,
            )
            for name in names
        ]


async def _add(
    assembly: Assembly,
    name: str,
    *,
    mode: Mode,
    rate_limit: int | None,
    outbound_allow: Sequence[str],
    allowed_ips: Sequence[str],
) -> dict[str, Any]:
    dependencies = assembly.dependencies
    ids, keyring, now = dependencies.ids, dependencies.keyring, dependencies.clock.now()

    def credentials(tx: Tx, merchant: Merchant) -> dict[str, Any]:
        key = service.create_api_key(tx, owner=merchant.owner, ids=ids, now=now, scopes=SCOPES, rate_limit=rate_limit)
        client_id, secret = service.create_credential(
            tx, owner=merchant.owner, ids=ids, keyring=keyring, now=now, allowed_ips=allowed_ips
        )
        audit.write(tx, audit.at_console("merchant.created", merchant.uuid, name=name, mode=mode.name.lower()), now=now)
        return {
            "merchant_id": merchant.uuid,
            "merchant_api_key": key.reveal(),
            "client_id": client_id,
            "client_secret": secret.reveal(),
            "webhook_secret": service.default_secret(tx, merchant, keyring=keyring).reveal(),
            "mode": mode.name.lower(),
        }

    _, made, pix_key = await open_merchant(
        dependencies, name, mode=mode, also=credentials, outbound_allow=outbound_allow
    )
    return made if pix_key is None else made | {"pix_key": pix_key}


def _readable(made: dict[str, Any]) -> str:
    width = max(map(len, made))
    lines = [f"  {name.ljust(width)}  {value}" for name, value in made.items()]
    return "\n".join(["Keep these now; the secrets are not shown again.", "", *lines, ""])
