"""Endpoints at the command line: registered, changed, tested, switched, and their secrets and keys rotated."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from opentill.cli.options import Data
from opentill.cli.webhooks import choices
from opentill.cli.webhooks.console import (
    CONSOLE,
    Console,
    EndpointName,
    Merchant,
    at_console,
    instant,
    only_one,
    shown,
    tell,
)
from opentill.kernel.clock import HOUR, SECOND
from opentill.kernel.errors import Refused
from opentill.main import assembled
from opentill.settings import Settings
from opentill.web.engine import engine_of
from opentill.webhooks import flow, service
from opentill.webhooks.flow import Tested
from opentill.webhooks.model import Dialect, Endpoint, Kind, Options, Recover, SigningKey
from opentill.webhooks.queries import published_keys
from opentill.webhooks.queries.portal import Card, cards

OVERLAP_HOURS_MAX: Final = 7 * 24
Chosen = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help=f"An option, such as timeout_s=5: {', '.join(choices.READ)}."),
]


def show(merchant: Merchant, data: Data = None) -> None:
    """List a merchant's endpoints, and what waits, is held and was given up for each."""

    def read(console: Console) -> list[str]:
        names = [endpoint.public_id for endpoint in console.endpoints()]
        return [_line_of(card) for card in cards(console.tx, owner=console.owner, names=names)]

    tell(merchant, data, read)


def add(
    merchant: Merchant,
    url: str,
    data: Data = None,
    dialect: Annotated[str | None, typer.Option(help="merchant (the usual), pix or standard.")] = None,
    choose: Chosen = None,
    operational: Annotated[
        bool, typer.Option("--operational", help="It hears, in the standard dialect, how endpoints and deliveries do.")
    ] = False,
) -> None:
    """Register an endpoint; prints its secret, this once."""
    kind = Kind.OPERATIONAL if operational else Kind.REGISTERED
    dialect = dialect or ("standard" if operational else "merchant")
    if dialect.upper() not in Dialect.__members__:
        raise Refused("UNKNOWN_DIALECT", f"{dialect} is no dialect; there are merchant, pix and standard")

    def made(console: Console) -> list[str]:
        endpoint, secret = service.create_endpoint(
            console.tx,
            owner=console.owner,
            dialect=Dialect[dialect.upper()],
            url=url,
            kind=kind,
            options=choices.chosen(Options(), choose or []),
            bounds=console.bounds,
            ids=console.ids,
            keyring=console.keyring,
            now=console.now,
            by=CONSOLE,
        )
        return [_line(endpoint), f"secret {secret.reveal()}"]

    tell(merchant, data, made)


def edit(
    merchant: Merchant,
    endpoint: EndpointName,
    data: Data = None,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    choose: Chosen = None,
) -> None:
    """Give an endpoint another address or other options; they hold from the next attempt on."""

    def changed(console: Console) -> list[str]:
        options = choices.chosen(console.endpoint(endpoint).options, choose or [])
        named = console.named(endpoint)
        return [_line(service.change_endpoint(console.tx, **named, url=url, options=options, bounds=console.bounds))]

    tell(merchant, data, changed)


def entrust(
    merchant: Merchant,
    endpoint: EndpointName,
    file: Annotated[
        Path, typer.Argument(help='{"headers": {"X-Shop": "7"}, "auth": {"kind": "bearer", "token": "…"}}')
    ],
    data: Data = None,
) -> None:
    """Keep headers and credentials for the receiver, sealed; they replace those before. Then delete the file.

    Kinds of auth: basic (username, password), bearer (token), oauth2 (token_url, client_id, client_secret, scope),
    mtls (certificate, key).
    """
    entrusted = choices.entrusted_in(file)
    tell(
        merchant,
        data,
        lambda console: [
            _line(service.entrust(console.tx, **console.named(endpoint), entrusted=entrusted, keyring=console.keyring))
        ],
    )


def remove(merchant: Merchant, endpoint: EndpointName, data: Data = None) -> None:
    """Delete an endpoint; what waits for it is cancelled."""
    at_console(
        merchant,
        data,
        lambda console: service.delete_endpoint(console.tx, **console.named(endpoint), ids=console.ids),
    )
    print(f"{endpoint} is deleted.")


def pause(merchant: Merchant, endpoint: EndpointName, data: Data = None) -> None:
    """Take an endpoint out of service; its events are held."""
    tell(
        merchant,
        data,
        lambda console: [
            _line(service.set_active(console.tx, **console.named(endpoint), active=False, ids=console.ids))
        ],
    )


def activate(
    merchant: Merchant,
    endpoint: EndpointName,
    data: Data = None,
    recover: Annotated[str, typer.Option(help="What it missed: none, all, or since:INSTANT.")] = "none",
) -> None:
    """Take an endpoint back into service, with or without what it missed."""
    kind, _, since = recover.partition(":")
    if kind not in [one.value for one in Recover] or (kind == Recover.SINCE) != bool(since):
        raise Refused("BAD_RECOVER", f"{recover} is neither none, all nor since:INSTANT")

    def activated(console: Console) -> list[str]:
        changed = service.set_active(
            console.tx,
            **console.named(endpoint),
            active=True,
            ids=console.ids,
            recover=Recover(kind),
            since=instant(since) if since else None,
        )
        return [_line(changed)]

    tell(merchant, data, activated)


def rotate(
    merchant: Merchant,
    endpoint: EndpointName,
    data: Data = None,
    overlap_hours: Annotated[int, typer.Option(min=0, max=OVERLAP_HOURS_MAX, help="The old one signs too.")] = 24,
) -> None:
    """Give an endpoint a new secret; prints it, this once."""

    def rotated(console: Console) -> list[str]:
        made = service.rotate_secret(
            console.tx,
            **console.named(endpoint),
            ids=console.ids,
            keyring=console.keyring,
            overlap_s=overlap_hours * HOUR // SECOND,
        )
        return [f"secret {made.secret.reveal()}", f"the one before signs too until {shown(made.previous_until)}"]

    tell(merchant, data, rotated)


def send_test(merchant: Merchant, endpoint: EndpointName, data: Data = None) -> None:
    """Send a test at once and say what became of it."""
    settings = Settings.from_environment(data=data)
    found = at_console(merchant, data, lambda console: console.endpoint(endpoint))

    async def sent() -> Tested:
        async with assembled(settings) as assembly:
            return await flow.send_test(
                engine_of(assembly.dependencies),
                owner=found.owner,
                dialect=found.dialect,
                endpoint_id=endpoint,
                by=CONSOLE,
            )

    tested = asyncio.run(sent())
    print(f"{tested.delivery_id}  {tested.outcome}  {tested.status or '-'}  {tested.duration_us // 1000} ms")
    if not tested.succeeded:
        raise Refused("TEST_FAILED", tested.error or f"The receiver answered {tested.status}.")


def keys(
    merchant: Merchant,
    data: Data = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Publish a new key; it signs from tomorrow on.")] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="End every key listed and sign with another one, now.")
    ] = False,
) -> None:
    """List the public keys that receivers verify with, or replace them."""
    only_one(rotate=rotate, revoke=revoke)

    def read(console: Console) -> list[SigningKey]:
        if rotate or revoke:
            service.rotate_signing_key(
                console.tx,
                owner=console.owner,
                ids=console.ids,
                keyring=console.keyring,
                now=console.now,
                revoke_now=revoke,
                by=CONSOLE,
            )
        return published_keys(console.tx, merchant, console.owner.mode, now=console.now) or []

    for key in at_console(merchant, data, read):
        print(f"{key.kid}  {key.public_key}  signs from {shown(key.signs_from)} until {shown(key.retires_at)}")


def _line_of(card: Card) -> str:
    counts = f"waiting {card.due}, held {card.held}, given up {card.dead}"
    return f"{_line(card.endpoint)}  {card.health}, last answer {shown(card.last_ok_at)}, {counts}"


def _line(endpoint: Endpoint) -> str:
    speaks = "operational" if endpoint.kind is Kind.OPERATIONAL else endpoint.dialect.name.lower()
    return f"{endpoint.public_id}  {speaks}  {endpoint.state.name.lower()}  {endpoint.url or '-'}"
