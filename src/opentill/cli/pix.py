"""`opentill pix policy`: what a merchant may charge and send, and what a second person decides."""

import asyncio
import dataclasses
import json
from typing import Annotated, Final

import typer

from opentill.cli.options import Data, Json
from opentill.cli.prepare import prepare
from opentill.db import Tx, open_database
from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Refused
from opentill.kernel.money import Money, parse, render
from opentill.merchants import service as merchants
from opentill.operators import audit
from opentill.pix.model import BRL
from opentill.pix.policy import AMOUNTS, Policy, change_policy
from opentill.settings import Settings

app = typer.Typer(help="The PIX rail.", no_args_is_help=True)


@app.callback()
def pix() -> None:
    """The PIX rail."""


NONE: Final = "none"
Amount = Annotated[str | None, typer.Option(metavar="REAIS", help="An amount in reais, or none.")]


@app.command("policy")
def policy(
    merchant: Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")],
    payouts: Annotated[bool | None, typer.Option("--payouts/--no-payouts", help="Whether it may send money.")] = None,
    approve_from: Annotated[
        str | None, typer.Option(metavar="REAIS", help="Payouts from this amount on wait for a person; or none.")
    ] = None,
    approve_distinct: Annotated[
        bool | None,
        typer.Option("--approve-distinct/--approve-by-anyone", help="Who asked for a payout may not approve it."),
    ] = None,
    approve_within_s: Annotated[int | None, typer.Option(help="Seconds after which one that waits has failed.")] = None,
    payout_max: Annotated[str | None, typer.Option(metavar="REAIS", help="The largest payout; or none.")] = None,
    payout_day: Annotated[str | None, typer.Option(metavar="REAIS", help="All payouts of a day; or none.")] = None,
    payout_night: Annotated[
        str | None, typer.Option(metavar="REAIS", help="The largest payout from 20:00 to 06:00; or none.")
    ] = None,
    payouts_per_minute: Annotated[str | None, typer.Option(metavar="N", help="More than these wait; or none.")] = None,
    charge_min: Annotated[str | None, typer.Option(metavar="REAIS", help="The smallest charge; or none.")] = None,
    charge_max: Annotated[str | None, typer.Option(metavar="REAIS", help="The largest charge; or none.")] = None,
    refund_within_days: Annotated[int | None, typer.Option(help="Days in which a receipt may be refunded.")] = None,
    block_from: Annotated[
        str | None, typer.Option(metavar="REAIS", help="Contests below this amount block no money.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show a merchant's policy, after changing what was said. Days and nights are those of São Paulo."""
    amounts = {
        "approve_from_units": approve_from,
        "payout_max_units": payout_max,
        "payout_day_units": payout_day,
        "payout_night_units": payout_night,
        "charge_min_units": charge_min,
        "charge_max_units": charge_max,
        "block_from_units": block_from,
    }
    changes: dict[str, int | bool | None] = {
        name: None if text == NONE else parse(text, BRL).units for name, text in amounts.items() if text is not None
    }
    if payouts_per_minute is not None:
        changes["payouts_per_minute"] = None if payouts_per_minute == NONE else _whole(payouts_per_minute)
    plain = {
        "payouts": payouts,
        "approve_distinct": approve_distinct,
        "approve_within_s": approve_within_s,
        "refund_within_days": refund_within_days,
    }
    changes |= {name: value for name, value in plain.items() if value is not None}
    settings = Settings.from_environment(data=data)
    prepare(settings)
    now_set = asyncio.run(_policy(settings, merchant, changes))
    shown = {name: getattr(now_set, name) for name in Policy.__slots__}
    if as_json:
        print(json.dumps(shown))
        return
    for name, value in shown.items():
        print(f"  {name.removesuffix('_units'):<20} {_readable(name, value)}")


async def _policy(settings: Settings, uuid: str, changes: dict[str, int | bool | None]) -> Policy:
    now = SystemClock().now()

    def change(tx: Tx) -> Policy:
        merchant = merchants.find_merchant(tx, uuid)
        changed = change_policy(tx, changes, owner=merchant.owner)
        if changes:
            entry = audit.at_console("pix_policy.changed", uuid, **changes)
            audit.write(tx, dataclasses.replace(entry, merchant_id=merchant.id), now=now)
        return changed

    async with open_database(settings.database_url) as database:
        return await database.write(change)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Refused("BAD_NUMBER", f"{text} is not a whole number.")
    return int(text)


def _readable(name: str, value: int | bool | None) -> str:
    if value is None:
        return NONE
    if name in AMOUNTS:
        return f"R$ {render(Money(value, BRL))}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
