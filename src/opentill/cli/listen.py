"""`opentill listen`: forwards events to a port of this machine while a receiver is being written."""

import asyncio
import signal
from contextlib import suppress
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from opentill.cli.client import Client
from opentill.cli.options import Key, Url
from opentill.kernel.errors import Refused

WAIT_S: Final = 20  # the gateway holds a request until there is something
ITEMS: Final = 20  # of one page
AGAIN_S: Final = 2.0
DESCRIPTION: Final = "opentill listen"


def listen(
    key: Key,
    forward: Annotated[str, typer.Option("--forward", metavar="URL", help="Where to send events: your receiver.")],
    url: Url = "http://127.0.0.1:8000",
    dialect: Annotated[
        str, typer.Option(help="merchant, pix or standard: how events are written and signed.")
    ] = "merchant",
    event: Annotated[
        list[str] | None, typer.Option(help="Only this event, or family (payment.*); repeat for several.")
    ] = None,
) -> None:
    """Forward events to a receiver on this machine, with the headers and signatures of a real delivery.

    A temporary feed is opened at the gateway and read, so nothing needs to reach this machine from outside:

        opentill listen --key op_… --forward http://localhost:3000/hook

    The secret to verify with is printed first. While the receiver is down, events wait. Ctrl-C closes the feed.
    Make events happen in another terminal: opentill trigger payment.completed --key op_…
    """
    if urlsplit(forward).scheme not in ("http", "https"):
        raise Refused("NO_URL", f"--forward takes a URL such as http://localhost:3000/hook, not {forward!r}")
    asyncio.run(_listen(url, key, forward, dialect, event or []))


async def _listen(url: str, key: str, forward: str, dialect: str, events: list[str]) -> None:
    async with Client(url, key) as client:
        asked = {"dialect": dialect, "events": events, "description": DESCRIPTION}
        opened = (await client.must("POST", "/webhooks/feeds", asked)).data
        print(f"Forwarding to {forward}\nSecret: {opened['secret']}\n", flush=True)
        reading = asyncio.ensure_future(_forward_all(client, opened["id"], forward))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, reading.cancel)
        try:
            with suppress(asyncio.CancelledError):
                await reading
        finally:
            await client.call("DELETE", f"/webhooks/{opened['id']}/feed")
        print("\nThe feed is closed.")


async def _forward_all(client: Client, feed: str | int, forward: str) -> None:
    """Read and forward until cancelled. What was forwarded is acknowledged by the next reading."""
    after = 0
    while True:
        said = await client.call(
            "GET", f"/webhooks/{feed}/feed?after={after}&limit={ITEMS}&wait={WAIT_S}", timeout_s=WAIT_S + 10
        )
        if said.status != 200:
            print(f"  the gateway answered {said.status}: {said.fields.get('message', '')}", flush=True)
            await asyncio.sleep(AGAIN_S)
            continue
        for item in said.data:
            await _forward(client, item, forward)
            after = item["feed_id"]


async def _forward(client: Client, item: dict[str, Any], forward: str) -> None:
    """Send one event on; wait for a receiver that is not there."""
    headers, told = list(item["headers"].items()), False
    while True:
        answer = await client.send("POST", forward, headers, item["body"].encode())
        if answer.status is not None:
            ms = round(answer.duration_us / 1000)
            print(f"  {answer.status}  {ms:>5} ms  {_name(item)}  {item['headers']['webhook-id']}", flush=True)
            return
        if not told:
            print(f"  waiting for {forward}: {answer.error_text}", flush=True)
            told = True
        await asyncio.sleep(AGAIN_S)


def _name(item: dict[str, Any]) -> str:
    headers = item["headers"]
    return str(headers.get("X-OwnPay-Event") or headers.get("X-Owem-Event-Type") or "event")
