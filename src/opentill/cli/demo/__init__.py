"""`opentill demo`: credentials of a sandbox shop, or the whole tour."""

import asyncio
import json
from typing import Annotated, Final

import typer

from opentill.cli.demo import tour
from opentill.cli.merchants import add_merchants
from opentill.cli.options import Data
from opentill.cli.prepare import prepare
from opentill.settings import Settings

RECEIVERS: Final = ("127.0.0.1", "localhost")  # where the demo's merchant may be told


def demo(
    data: Data = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Only make a sandbox merchant and print its credentials, as one JSON object."),
    ] = False,
) -> None:
    """Watch payments, PIX and signed webhooks at work, or get credentials of a sandbox shop.

    Without --json a fresh gateway and a receiver are started in temporary folders, the calls of the two API pages are
    made, and every promise of those pages is checked; the exit status tells whether all held.

    With --json a sandbox merchant is made in DIR, beside a running server if there is one. Its webhooks may reach
    127.0.0.1.
    """
    if not as_json:
        raise typer.Exit(tour.run())
    settings = Settings.from_environment(data=data)
    prepare(settings)
    made = asyncio.run(add_merchants(settings, ["Loja Demo"], sandbox=True, outbound_allow=RECEIVERS))
    print(json.dumps(made[0]))
