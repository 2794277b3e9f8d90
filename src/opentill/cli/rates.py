"""`opentill rates`: what one currency is worth in another, for gateways that charge another than the payment's."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from opentill.cli.options import Data
from opentill.cli.prepare import in_transaction
from opentill.db import Tx
from opentill.kernel.clock import SystemClock
from opentill.operators import audit
from opentill.payments import conversion
from opentill.settings import Settings

app = typer.Typer(
    help="Exchange rates, for gateways that charge another currency than the payment's. One is used for a day.",
    no_args_is_help=True,
)
Code = Annotated[str, typer.Argument(help="A currency as ISO 4217 writes it, such as USD.")]


@app.command("set")
def set_rate(
    base: Code,
    quote: Code,
    rate: Annotated[str, typer.Argument(help="How many QUOTE one BASE is worth, for example 5.4321.")],
    data: Data = None,
) -> None:
    """Set a rate. It goes before one of a feed, and is used for 24 hours."""
    base, quote, now = base.upper(), quote.upper(), SystemClock().now()

    def change(tx: Tx) -> None:
        before = conversion.set_rate(tx, base, quote, rate, source="operator", now=now)
        was = before.rate if before else None
        audit.write(tx, audit.at_console("rate.set", f"rate:{base}/{quote}", before=was, after=rate), now=now)

    in_transaction(Settings.from_environment(data=data), change)
    print(f"1 {base} = {rate} {quote}, for payments of the next 24 hours")


@app.command("list")
def show(data: Data = None) -> None:
    """Print the rates that are kept; those too old to be used are marked."""
    now = SystemClock().now()
    for one in in_transaction(Settings.from_environment(data=data), conversion.rates):
        taken = datetime.fromtimestamp(one.taken_at / 1_000_000, UTC)
        old = "" if one.usable(now) else "  too old to be used"
        print(f"1 {one.base} = {one.rate} {one.quote}  {one.source}, {taken:%Y-%m-%d %H:%M} UTC{old}")
