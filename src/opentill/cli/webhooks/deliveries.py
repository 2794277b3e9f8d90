"""Deliveries and events at the command line: listed, followed, and sent again one by one or by a job."""

import time
from typing import Annotated, Final

import typer

from opentill.cli.options import Data
from opentill.cli.webhooks.console import (
    CONSOLE,
    Console,
    EndpointName,
    Merchant,
    Since,
    at_console,
    instant,
    shown,
    tell,
)
from opentill.events import queries
from opentill.kernel.errors import Refused
from opentill.webhooks import service
from opentill.webhooks.model import DeliveryState
from opentill.webhooks.queries import DeliveryRow, deliveries

STATES: Final = {state.name.lower(): state for state in DeliveryState}
LOOK_S: Final = 1.0
Count = Annotated[int, typer.Option("--count", "-n", min=1, max=200, help="How many, the newest.")]


def log(
    merchant: Merchant,
    data: Data = None,
    count: Count = 20,
    endpoint: Annotated[str | None, typer.Option(help="Of one endpoint, wh_…")] = None,
    state: Annotated[str | None, typer.Option(help=f"{', '.join(STATES)}.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is new, until Ctrl-C.")] = False,
) -> None:
    """List deliveries with their state, the oldest of them first."""
    if state is not None and state not in STATES:
        raise Refused("UNKNOWN_STATE", f"{state} is no state; there are {', '.join(STATES)}")

    def read(console: Console) -> list[DeliveryRow]:
        return deliveries(
            console.tx,
            owner=console.owner,
            limit=count,
            endpoint_id=None if endpoint is None else console.endpoint(endpoint).id,
            states=None if state is None else [STATES[state]],
        )

    last = 0
    while True:
        for row in reversed(at_console(merchant, data, read)):
            if row.id > last:
                print(_line(row))
                last = row.id
        if not follow:
            return
        time.sleep(LOOK_S)


def resend(merchant: Merchant, delivery: Annotated[str, typer.Argument(help="dlv_…")], data: Data = None) -> None:
    """Make one more attempt of a delivery now."""
    at_console(
        merchant,
        data,
        lambda console: service.resend(
            console.tx, owner=console.owner, delivery_id=delivery, now=console.now, by=CONSOLE
        ),
    )
    print(f"{delivery} is sent again by the running server.")


def recover(merchant: Merchant, endpoint: EndpointName, data: Data = None, since: Since = None) -> None:
    """Send what an endpoint did not get, since an instant or as far back as events are kept."""
    began = None if since is None else instant(since)
    job = at_console(
        merchant,
        data,
        lambda console: service.recover(console.tx, **console.named(endpoint), since=began, ids=console.ids),
    )
    print(f"{job} has begun; see: opentill webhooks replays {merchant} {endpoint}")


def replay(
    merchant: Merchant,
    endpoint: EndpointName,
    since: Annotated[str, typer.Option(metavar="INSTANT", help="For example 2026-03-10T12:00:00, in UTC.")],
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send everything since an instant once more, delivered or not: for a receiver that lost its data."""
    began = instant(since)
    events = at_console(
        merchant, data, lambda console: service.events_since(console.tx, owner=console.owner, since=began)
    )
    if not yes:
        typer.confirm(f"There are {events} events since then. Send them again?", abort=True)
    job = at_console(
        merchant,
        data,
        lambda console: service.replay_all(console.tx, **console.named(endpoint), since=began, ids=console.ids),
    )
    print(f"{job} has begun; see: opentill webhooks replays {merchant} {endpoint}")


def replays(
    merchant: Merchant,
    endpoint: EndpointName,
    data: Data = None,
    cancel: Annotated[str | None, typer.Option(metavar="JOB", help="Stop a job where it is.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="JOB", help="Let a stopped job go on.")] = None,
) -> None:
    """List the jobs that send again, with how far they are."""

    def read(console: Console) -> list[str]:
        tx, owner, now = console.tx, console.owner, console.now
        if cancel is not None:
            service.cancel_replay(tx, owner=owner, replay_id=cancel, now=now, by=CONSOLE)
        if resume is not None:
            service.resume_replay(tx, owner=owner, replay_id=resume, now=now, by=CONSOLE)
        found = console.endpoint(endpoint)
        jobs = service.replays_of(tx, owner=owner, dialect=found.dialect, endpoint_id=found.public_id)
        return [_line_of(job) for job in jobs]

    tell(merchant, data, read)


def events(merchant: Merchant, data: Data = None, count: Count = 20) -> None:
    """List events, the oldest of them first."""

    def read(console: Console) -> list[str]:
        return [
            f"{row['id']}  {row['type']}  {row['object_type']} {row['object_id']}  {shown(row['occurred_at'])}"
            for row in reversed(queries.page(console.tx, owner=console.owner, limit=count))
        ]

    tell(merchant, data, read)


def _line_of(job: service.Replay) -> str:
    progress = f"queued {job.queued}, left out {job.skipped}"
    return f"{job.id}  {job.kind}  {job.state.name.lower()}  {progress}  {shown(job.created_at)}"


def _line(row: DeliveryRow) -> str:
    answered = row.last_outcome or "-"
    sent = f"{row.state.name.lower()}, attempts {row.attempts}, {answered} {row.last_status or ''}".rstrip()
    return (
        f"{row.public_id}  {row.event_name}  {row.event_id}  {row.endpoint_public_id}  {sent}  {shown(row.created_at)}"
    )
