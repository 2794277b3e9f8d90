"""`opentill verify`: recompute the books with slow, obvious code and name every row that disagrees or is forgotten."""

import asyncio
import json
import time
from typing import Any

import typer

from opentill.cli.options import Data, Json
from opentill.cli.prepare import prepare
from opentill.db import ReadTx, open_database
from opentill.kernel.clock import SystemClock
from opentill.ledger import verification as books
from opentill.master_keys import open_keyring
from opentill.operators import verification as audit_log
from opentill.payments import verification as payments
from opentill.payments.infractions import verification as infractions
from opentill.pix.payouts import verification as payouts
from opentill.settings import Settings
from opentill.webhooks import verification as webhooks
from opentill.webhooks.retention import find_false_checkpoints


def verify(data: Data = None, as_json: Json = False) -> None:
    """Recompute every balance, state and total from what was recorded, and look for work nobody does.

    Exits with 1 if anything disagrees.

    Reads one snapshot; payments go on meanwhile.
    """
    settings = Settings.from_environment(data=data)
    prepare(settings)
    started = time.monotonic()
    report = asyncio.run(_verify(settings))
    report["seconds"] = round(time.monotonic() - started, 3)
    if as_json:
        print(json.dumps(report))
    else:
        _tell(report)
    if report["faults"]:
        raise typer.Exit(1)


async def _verify(settings: Settings) -> dict[str, Any]:
    now, keyring = SystemClock().now(), open_keyring(settings)

    def audit(tx: ReadTx) -> dict[str, Any]:
        faults = [
            *books.find_faults(tx),
            *payments.find_faults(tx),
            *payouts.find_faults(tx),
            *infractions.find_faults(tx),
            *webhooks.find_faults(tx, now=now),
            *find_false_checkpoints(tx, keyring=keyring),
            *audit_log.find_faults(tx),
        ]
        return {"counted": payments.counts(tx), "faults": faults}

    async with open_database(settings.database_url) as database:
        return await database.read(audit)


def _tell(report: dict[str, Any]) -> None:
    counted = ", ".join(f"{count:,} {name}s" for name, count in report["counted"].items())
    print(f"Looked at {counted} in {report['seconds']} s.")
    for fault in report["faults"]:
        print(f"  {fault}")
    print(f"{len(report['faults'])} faults." if report["faults"] else "Everything agrees.")
