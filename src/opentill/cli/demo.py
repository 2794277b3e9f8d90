"""`opentill demo`: credentials of a sandbox shop, or the whole tour."""

import asyncio
import json
from typing import Final

from opentill.cli.merchants import add_merchants
from opentill.cli.options import Data, Json
from opentill.db.migrations import migrate
from opentill.settings import Settings

RECEIVERS: Final = ("127.0.0.1", "localhost")  # where the demo's merchant may be told


def demo(data: Data = None, as_json: Json = False) -> None:
    """Make a sandbox shop and show payments, PIX and signed webhooks at work.

    With --json: make a sandbox merchant in DIR, beside a running server if there is one, and print its credentials.
    """
    settings = Settings.from_environment(data=data)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    migrate(settings.database_url)
    made = asyncio.run(add_merchants(settings, ["Loja Demo"], sandbox=True, outbound_allow=RECEIVERS))[0]
    print(json.dumps(made))
