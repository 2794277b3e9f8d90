"""`opentill merchant`: make merchants and their credentials from the command line."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from opentill.cli.options import Data, Json
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import Ids, SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret
from opentill.main import Assembly, assembled
from opentill.merchants import gateways, service
from opentill.merchants.model import DEFAULT_SCOPES, KEY_RATE_MAX, SCOPES, Merchant
from opentill.operators import audit
from opentill.pix import service as pix
from opentill.pix.documents import cnpj_of
from opentill.pix.keys import detect
from opentill.sandbox_psp.frame import BANK_ISPB
from opentill.settings import Settings

app = typer.Typer(help="Merchants (brands) and their credentials.", no_args_is_help=True)

BANK_NAME: Final = "Banco Sandbox"


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
    count: Annotated[int, typer.Option(min=1, max=1000, help="Make this many, numbered.")] = 1,
    as_json: Json = False,
) -> None:
    """Make a merchant with an API key and PIX credentials, which are shown this once."""
    settings = Settings.from_environment(data=data)
    prepare(settings)
    names = [name] if count == 1 else [f"{name} {number}" for number in range(1, count + 1)]
    for made in asyncio.run(add_merchants(settings, names, sandbox=sandbox, rate_limit=rate_limit)):
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
) -> list[dict[str, Any]]:
    """Make merchants; return each one's id and credentials."""
    mode = Mode.SANDBOX if sandbox else Mode.LIVE
    async with assembled(settings) as assembly:
        return [
            await _add(assembly, name, mode=mode, rate_limit=rate_limit, outbound_allow=outbound_allow)
            for name in names
        ]


async def _add(
    assembly: Assembly,
    name: str,
    *,
    mode: Mode,
    rate_limit: int | None,
    outbound_allow: Sequence[str],
) -> dict[str, Any]:
    dependencies = assembly.dependencies
    ids, keyring, now = dependencies.ids, dependencies.keyring, dependencies.clock.now()

    def make(tx: Tx) -> tuple[Merchant, dict[str, Any]]:
        merchant = service.create_merchant(
            tx, name, mode=mode, ids=ids, keyring=keyring, now=now, outbound_allow=outbound_allow
        )
        key = service.create_api_key(tx, owner=merchant.owner, ids=ids, now=now, scopes=SCOPES, rate_limit=rate_limit)
        client_id, secret = service.create_credential(tx, owner=merchant.owner, ids=ids, keyring=keyring, now=now)
        audit.write(tx, audit.at_console("merchant.created", merchant.uuid), now=now)
        return merchant, {
            "merchant_id": merchant.uuid,
            "merchant_api_key": key.reveal(),
            "client_id": client_id,
            "client_secret": secret.reveal(),
            "webhook_secret": service.default_secret(tx, merchant, keyring=keyring).reveal(),
            "mode": mode.name.lower(),
        }

    merchant, made = await dependencies.db.write(make)
    if mode is Mode.SANDBOX:
        made["pix_key"] = await _attach_sandbox_bank(assembly, merchant)
    return made


async def _attach_sandbox_bank(assembly: Assembly, merchant: Merchant) -> str:
    """Open an account at the sandbox bank, attach it, switch on the test gateways; return the account's key."""
    dependencies = assembly.dependencies
    ids, now = dependencies.ids, dependencies.clock.now()
    credentials = {"client_id": ids.hex(32), "client_secret": ids.hex(64)}
    key = detect(ids.uuid7())
    assembly.sandbox.open_account(
        client_id=credentials["client_id"],
        client_secret=credentials["client_secret"],
        document=cnpj_of(_digits(ids, 12)),
        name=merchant.name,
        city=merchant.city,
        keys=[key.value],
    )

    def attach(tx: Tx) -> tuple[int, Secret]:
        gateways.switch_on(tx, "sandbox", name="Sandbox", owner=merchant.owner, position=1, now=now)
        gateways.switch_on(tx, "pix", name="PIX", owner=merchant.owner, position=0, now=now)
        return pix.attach_account(
            tx,
            owner=merchant.owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name=BANK_NAME,
            bank_ispb=BANK_ISPB,
            credentials=credentials,
            keys=[key],
            ids=ids,
            keyring=dependencies.keyring,
            now=now,
        )

    account_id, token = await dependencies.db.write(attach)
    account = await dependencies.db.read(lambda tx: pix.find_account(tx, account_id))
    if account is not None:
        hook = f"{dependencies.settings.public_url}/hooks/pix/{account_id}/{token.reveal()}"
        await dependencies.receiver(account).ensure_webhook(key.value, hook)
    return key.value


def _digits(ids: Ids, count: int) -> str:
    return f"{int(ids.hex(16), 16) % 10**count:0{count}}"


def _readable(made: dict[str, Any]) -> str:
    width = max(map(len, made))
    lines = [f"  {name.ljust(width)}  {value}" for name, value in made.items()]
    return "\n".join(["Keep these now; the secrets are not shown again.", "", *lines, ""])
