"""The command `opentill`: each subcommand in a module of its own."""

import sys

import typer

from opentill.cli import demo, keys, merchants, operate, verify
from opentill.db import DatabaseError
from opentill.kernel.errors import Refused
from opentill.settings import BadSettingError

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
app.add_typer(merchants.app, name="merchant")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run the command line; what was refused is told in one sentence, without a trace."""
    try:
        app()
    except (Refused, BadSettingError, DatabaseError) as refused:
        print(f"opentill: {refused}", file=sys.stderr)
        raise SystemExit(2) from None
