"""Deliveries and events at the command line: listed, followed, and sent again one by one or by a job."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from opentill.cli.options import Data
from opentill.cli.prepare import with_database
from opentill.cli.webhooks.console import (
    CONSOLE,
    Console,
    EndpointName,
    Merchant,
    Since,
    at_console,
    console_of,
    instant,
    only_one,
    shown,
    tell,
)
from opentill.db import Database, ReadTx, Tx
from opentill.events import queries
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Refused
from opentill.kernel.owner import Owner
from opentill.settings import Settings
from opentill.webhooks import service
from opentill.webhooks.model import DeliveryState
from opentill.webhooks.queries import DeliveryRow, deliveries
from opentill.webhooks.queries.history import PAGE_ROWS_MAX

STATES: Final = {state.name.lower(): state for state in DeliveryState}
LOOK_S: Final = 1.0
Count = Annotated[int, typer.Option("--count", "-n", min=1, max=200, help="How many, the newest.")]


class Log:
    """The deliveries that are asked for, each found once, the oldest first."""

    def __init__(self, owner: Owner, endpoint_id: int | None = None, states: Sequence[DeliveryState] | None = None):
        self._owner, self._endpoint_id, self._states = owner, endpoint_id, states
        self._from, self._newest, self._known = 0, 0, frozenset[int]()

    def newest(self, tx: ReadTx, count: int) -> list[DeliveryRow]:
        found = self._read(tx, limit=count)[::-1]
        if found:
            self._from, self._newest, self._known = found[0].id, found[-1].id, frozenset(row.id for row in found)
        return found

    def fresh(self, tx: ReadTx) -> list[DeliveryRow]:
        """Return all that was stored since the look before.

        Of two deliveries the one made first may be stored last, so what the look before found is read again.
        """
        found, after = list[DeliveryRow](), self._from
        while page := self._read(tx, limit=PAGE_ROWS_MAX, after=after):
            found += page
            after = page[-1].id
        fresh = [row for row in found if row.id not in self._known]
        if fresh:
            self._from, self._newest, self._known = self._newest, after, frozenset(row.id for row in found)
        return fresh

    def _read(self, tx: ReadTx, *, limit: int, after: int | None = None) -> list[DeliveryRow]:
        return deliveries(
            tx, owner=self._owner, limit=limit, after=after, endpoint_id=self._endpoint_id, states=self._states
        )


def log(
    merchant: Merchant,
    data: Data = None,
    count: Count = 20,
    endpoint: Annotated[str | None, typer.Option(help="Of one endpoint, wh_…")] = None,
    state: Annotated[str | None, typer.Option(help=f"{', '.join(STATES)}.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each new one, until Ctrl-C.")] = False,
) -> None:
    """List deliveries with their state, the oldest of them first.

    With --follow each delivery is shown once, as it is made.
    """
    if state is not None and state not in STATES:
        raise Refused("UNKNOWN_STATE", f"{state} is no state; there are {', '.join(STATES)}")

    settings = Settings.from_environment(data=data)

    def asked(tx: Tx) -> Log:
        console = console_of(tx, merchant, settings)
        endpoint_id = None if endpoint is None else console.endpoint(endpoint).id
        return Log(console.owner, endpoint_id, None if state is None else [STATES[state]])

    async def told(database: Database) -> None:
        wanted = await database.write(asked)
        _tell(await database.read(lambda tx: wanted.newest(tx, count)))
        while follow:
            await asyncio.sleep(LOOK_S)
            _tell(await database.read(wanted.fresh))

    with_database(settings, told)


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
    _begin(service.recover, merchant, endpoint, data, since=None if since is None else instant(since))


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
        merchant, data, lambda console: service.events_since(console.tx, console.endpoint(endpoint), since=began)
    )
    if not yes:
        typer.confirm(f"There are {events} events since then. Send them again?", abort=True)
    _begin(service.replay_all, merchant, endpoint, data, since=began)


def replays(
    merchant: Merchant,
    endpoint: EndpointName,
    data: Data = None,
    cancel: Annotated[str | None, typer.Option(metavar="JOB", help="Stop a job where it is.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="JOB", help="Let a stopped job go on.")] = None,
) -> None:
    """List the jobs that send again, with how far they are."""
    only_one(cancel=cancel, resume=resume)

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


def _begin(job: Callable[..., str], merchant: str, endpoint: str, data: Data, *, since: Instant | None) -> None:
    """Begin a job that sends again, and say how to follow it."""

    def begun(console: Console) -> str:
        return job(
            console.tx,
            **console.named(endpoint),
            since=since,
            ids=console.ids,
            rate_per_s=console.bounds.replay_rate,
        )

    replay_id = at_console(merchant, data, begun)
    print(f"{replay_id} has begun; see: opentill webhooks replays {merchant} {endpoint}")


def _line_of(job: service.Replay) -> str:
    progress = f"queued {job.queued}, left out {job.skipped}"
    return f"{job.id}  {job.kind}  {job.state.name.lower()}  {progress}  {shown(job.created_at)}"


def _tell(rows: Sequence[DeliveryRow]) -> None:
    for row in rows:
        print(_line(row))


def _line(row: DeliveryRow) -> str:
    answered = row.last_outcome or "-"
    sent = f"{row.state.name.lower()}, attempts {row.attempts}, {answered} {row.last_status or ''}".rstrip()
    return (
        f"{row.public_id}  {row.event_name}  {row.event_id}  {row.endpoint_public_id}  {sent}  {shown(row.created_at)}"
    )
