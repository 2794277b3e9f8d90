"""The command `opentill`: each subcommand in a module of its own."""

import os
import sys
from typing import Final

import typer

from opentill.cli import (
    bank,
    demo,
    domains,
    keys,
    listen,
    merchants,
    operate,
    pix,
    portal,
    rates,
    sandbox_psp,
    trigger,
    verify,
    webhooks,
)
from opentill.db import DatabaseError
from opentill.kernel.errors import Refused
from opentill.settings import BadSettingError

OWNERS_ALONE: Final = 0o077
"""What a command writes is for whoever runs it: the books, the master key, logs."""

app = typer.Typer(
    name="opentill",
    help="A payment gateway on a machine of your own. Start with: opentill serve",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(operate.serve)
app.command("worker")(operate.worker)
app.command("migrate")(operate.migrate)
app.command("setup")(operate.setup)
app.command("demo")(demo.demo)
app.command("verify")(verify.verify)
app.command("listen")(listen.listen)
app.command("trigger")(trigger.trigger)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(portal.app, name="portal")
app.add_typer(merchants.app, name="merchant")
app.add_typer(domains.app, name="domain")
app.add_typer(bank.app, name="bank")
app.add_typer(pix.app, name="pix")
app.add_typer(rates.app, name="rates")
app.add_typer(keys.app, name="keys")
app.add_typer(sandbox_psp.app, name="sandbox-psp")


def main() -> None:
    """Run the command line; what was refused is told in one sentence, without a trace."""
    os.umask(OWNERS_ALONE)
    try:
        app()
    except (Refused, BadSettingError, DatabaseError) as refused:
        print(f"opentill: {refused}", file=sys.stderr)
        raise SystemExit(2) from None
