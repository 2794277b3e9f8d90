"""Endpoints in the hub: added, changed, tested, paused, their secrets rotated, and what they missed sent again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from starlette.responses import Response

from opentill.admin import event_choices
from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Invalid, NotFound
from opentill.kernel.secret import Secret
from opentill.web.engine import bounds_of, engine_of, patience_of
from opentill.webhooks import flow, service
from opentill.webhooks.model import (
    AmountFormat,
    By,
    DeliveryState,
    Dialect,
    Endpoint,
    Kind,
    Payments,
    Recover,
    SignatureFormat,
)
from opentill.webhooks.queries import history
from opentill.webhooks.queries.portal import Card, cards
from opentill.webhooks.replaying import ALL, MATCHING, MISSING

T = TypeVar("T")

LATEST: Final = 25
JOBS_SHOWN: Final = 5
MADE: Final = {dialect.name.lower(): (dialect, Kind.REGISTERED) for dialect in Dialect} | {
    "operational": (Dialect.STANDARD, Kind.OPERATIONAL)
}
OVERLAPS_S: Final = {"none": 0, "day": 86_400, "week": 604_800}
SINCE: Final = {"day": DAY, "week": 7 * DAY}
TOLD: Final = frozenset((MISSING, ALL, MATCHING))  # jobs that people start and may stop
SIGNATURES: Final = {form.name.lower(): form for form in SignatureFormat}
AMOUNTS: Final = {form.value: form for form in AmountFormat}
WHOSE: Final = {kind.value: kind for kind in Payments}


async def index(visit: Visit) -> Response:
    """List the endpoints of every dialect."""
    found = await visit.read(
        lambda tx: [one for dialect in Dialect for one in service.of_surface(tx, visit.owner, dialect)]
    )
    return visit.render("admin/developers/endpoints.html", {"endpoints": found})


async def offer(visit: Visit) -> Response:
    return visit.render("admin/developers/endpoint-new.html", event_choices.offered_at_first())


async def create(visit: Visit) -> Response:
    """Register an endpoint and show its secret, this once."""
    url, (dialect, kind) = visit.field("url"), MADE.get(visit.field("dialect"), MADE["merchant"])
    options = event_choices.preset(visit, dialect, url)

    def made(tx: Tx, _log: Journalist) -> tuple[Endpoint, Secret]:
        return service.create_endpoint(
            tx,
            owner=visit.owner,
            dialect=dialect,
            kind=kind,
            url=url,
            options=options,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
            bounds=bounds_of(visit.deps.settings),
            by=_by(visit),
        )

    try:
        endpoint, secret = await visit.write(made)
    except Invalid as wrong:
        return visit.wrong("admin/developers/endpoint-new.html", wrong, event_choices.offered_at_first())
    return visit.render("admin/developers/endpoint-made.html", {"endpoint": endpoint, "secret": secret.reveal()})


async def show(visit: Visit) -> Response:
    """Show an endpoint: how it does, what waits, its latest deliveries, and what can be done with it."""
    return visit.render("admin/developers/endpoint.html", await _facts(visit))


async def settings(visit: Visit) -> Response:
    """Ask for another address or other options."""
    found = await _endpoint(visit)
    facts = {"endpoint": found} | event_choices.offered_to(visit, found)
    return visit.render("admin/developers/endpoint-settings.html", facts)


async def change(visit: Visit) -> Response:
    """Give an endpoint another address or other options; they hold from the next attempt on."""
    found = await _endpoint(visit)
    options = replace(
        found.options,
        events=event_choices.ticked(visit),
        description=visit.field("description") or None,
        signature_format=SIGNATURES.get(visit.field("signature_format"), found.options.signature_format),
        amount_format=AMOUNTS.get(visit.field("amount_format"), found.options.amount_format),
        payments=WHOSE.get(visit.field("payments"), found.options.payments),
        max_in_flight=number(visit.field("max_in_flight")) or found.options.max_in_flight,
    )

    def changed(tx: Tx, log: Journalist) -> None:
        after = service.change_endpoint(
            tx,
            **_named(visit, found),
            now=visit.now,
            url=None if found.is_pulled else visit.field("url"),
            options=options,
            bounds=bounds_of(visit.deps.settings),
            by=_by(visit),
        )
        if after.version == found.version:
            log("webhook.change", found.public_id)  # nothing differs; that somebody saved is told all the same

    try:
        await visit.write(changed)
    except Invalid as wrong:
        facts = {"endpoint": found} | event_choices.offered_to(visit, found, sent=options.events or ())
        return visit.wrong("admin/developers/endpoint-settings.html", wrong, facts)
    return visit.go(_place(visit), note="saved")


async def test(visit: Visit) -> Response:
    """Send a test at once; what was sent and answered is on its delivery's page."""
    found, engine = await _endpoint(visit), engine_of(visit.deps)
    tested = await flow.send_test(engine, **_named(visit, found), by=_by(visit), claim=visit.use_form)
    return visit.go(f"{visit.home}/developers/deliveries/{tested.delivery_id}", note="tested")


async def rotate(visit: Visit) -> Response:
    """Make a new secret and show it, this once; the one before signs too for the overlap."""
    found = await _endpoint(visit)
    overlap_s = OVERLAPS_S.get(visit.field("overlap"), OVERLAPS_S["day"])

    def rotated(tx: Tx, _log: Journalist) -> Secret:
        made = service.rotate_secret(
            tx,
            **_named(visit, found),
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
            overlap_s=overlap_s,
            by=_by(visit),
        )
        return made.secret

    secret = await visit.write(rotated)
    return visit.render("admin/developers/endpoint-made.html", {"endpoint": found, "secret": secret.reveal()})


async def replay(visit: Visit) -> Response:
    """Start a job that sends again what is missing, what was given up, or everything since some day."""
    found, wish = await _endpoint(visit), visit.field("wish")
    place, span = _place(visit), SINCE.get(wish.partition("-")[2], DAY)
    common: dict[str, Any] = _named(visit, found) | {
        "ids": visit.deps.ids,
        "now": visit.now,
        "rate_per_s": bounds_of(visit.deps.settings).replay_rate,
        "by": _by(visit),
    }

    def started(tx: Tx, _log: Journalist) -> str:
        match wish:
            case "missing":
                return service.recover(tx, since=None, **common)
            case "dead":
                return service.resend_matching(tx, states=[DeliveryState.DEAD], **common)
            case "all-day" | "all-week":
                return service.replay_all(tx, since=Instant(visit.now - span), **common)
            case _:
                return service.recover(tx, since=Instant(visit.now - span), **common)

    return await _done(visit, started, place, note="replaying")


async def stop(visit: Visit) -> Response:
    """Stop a job where it is, or let it go on."""
    found, replay_id = await _endpoint(visit), visit.path("replay")

    def stopped(tx: Tx, log: Journalist) -> None:
        own = {one.id for one in service.replays_of(tx, **_named(visit, found))}
        if replay_id not in own:
            raise service.ReplayNotFound
        act = service.resume_replay if visit.field("resume") else service.cancel_replay
        act(tx, owner=visit.owner, replay_id=replay_id, now=visit.now, by=_by(visit))
        log("webhook.replay.asked", found.public_id, replay=replay_id, resume=bool(visit.field("resume")))

    return await _done(visit, stopped, _place(visit))


async def switch(visit: Visit) -> Response:
    """Pause an endpoint, take it back into service with or without what it missed, or delete it."""
    found, action = await _endpoint(visit), visit.path("action")
    named, ids, now, by = _named(visit, found), visit.deps.ids, visit.now, _by(visit)

    def switched(tx: Tx, _log: Journalist) -> None:
        if action == "delete":
            service.delete_endpoint(tx, **named, ids=ids, now=now, by=by)
        elif action in ("pause", "activate"):
            recover = Recover.ALL if visit.field("recover") else Recover.NONE
            service.set_active(tx, **named, active=action == "activate", recover=recover, ids=ids, now=now, by=by)
        else:
            raise NotFound("ENDPOINT_NOT_FOUND", "No such endpoint.")

    await visit.write(switched)
    return visit.go(f"{visit.home}/developers/endpoints" if action == "delete" else _place(visit), note="saved")


async def _done(visit: Visit, work: Callable[[Tx, Journalist], T], place: str, *, note: str = "saved") -> Response:
    await visit.write(work)
    return visit.go(place, note=note)


def _place(visit: Visit) -> str:
    return f"{visit.home}/developers/endpoints/{visit.path('endpoint')}"


def _named(visit: Visit, endpoint: Endpoint) -> dict[str, Any]:
    return {"owner": visit.owner, "dialect": endpoint.dialect, "endpoint_id": endpoint.public_id}


async def _endpoint(visit: Visit) -> Endpoint:
    public_id = visit.path("endpoint")

    def found(tx: ReadTx) -> Card | None:
        return next(iter(cards(tx, owner=visit.owner, names=[public_id])), None)

    card = await visit.read(found)
    if card is None:
        raise NotFound("ENDPOINT_NOT_FOUND", "No such endpoint.")
    return card.endpoint


async def _facts(visit: Visit) -> dict[str, Any]:
    found = await _endpoint(visit)

    def facts(tx: ReadTx) -> dict[str, Any]:
        [card] = cards(tx, owner=visit.owner, names=[found.public_id])
        jobs = [job for job in service.replays_of(tx, **_named(visit, found)) if job.kind in TOLD]
        return {
            "card": card,
            "endpoint": card.endpoint,
            "jobs": jobs[:JOBS_SHOWN],
            "rate": bounds_of(visit.deps.settings).replay_rate,
            "patience": patience_of(visit.deps.settings),
            "deliveries": history.deliveries(tx, owner=visit.owner, limit=LATEST, endpoint_id=found.id),
        }

    return await visit.read(facts)


def _by(visit: Visit) -> By:
    return By(visit.who.operator.actor, visit.caller.origin)


_AT: Final = "/m/{merchant}/developers/endpoints"

SCREENS: Final = (
    Screen("GET", _AT, index, "developers.view"),
    Screen("GET", f"{_AT}/new", offer, "developers.manage"),
    Screen("POST", f"{_AT}/new", create, "developers.manage"),
    Screen("GET", _AT + "/{endpoint}", show, "developers.view"),
    Screen("GET", _AT + "/{endpoint}/settings", settings, "developers.manage"),
    Screen("POST", _AT + "/{endpoint}/settings", change, "developers.manage"),
    Screen("POST", _AT + "/{endpoint}/secret", rotate, "secrets.reveal", fresh=True),
    Screen("POST", _AT + "/{endpoint}/tests", test, "developers.manage"),
    Screen("POST", _AT + "/{endpoint}/replays", replay, "developers.manage"),
    Screen("POST", _AT + "/{endpoint}/replays/{replay}", stop, "developers.manage"),
    Screen("POST", _AT + "/{endpoint}/{action}", switch, "developers.manage"),
)
