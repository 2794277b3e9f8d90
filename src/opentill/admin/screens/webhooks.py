"""Webhooks in the hub: deliveries with every attempt, events, and a bench that checks signatures."""

import json
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.events import queries as events
from opentill.kernel.errors import NotFound
from opentill.kernel.secret import Secret
from opentill.webhooks import catalogue, service
from opentill.webhooks.bench import Given, inspect
from opentill.webhooks.model import By, DeliveryState, Dialect
from opentill.webhooks.queries import history

PAGE: Final = 50
STATES: Final = {
    "due": DeliveryState.DUE,
    "sending": DeliveryState.SENDING,
    "delivered": DeliveryState.DELIVERED,
    "dead": DeliveryState.DEAD,
    "held": DeliveryState.HELD,
    "cancelled": DeliveryState.CANCELLED,
}


async def resend(visit: Visit) -> Response:
    """Make one more attempt of a delivery now, or send the event again from the beginning."""
    public_id, anew = visit.path("delivery"), visit.field("anew") == "1"

    def sent(tx: Tx, _log: Journalist) -> str:
        if anew:
            return service.redeliver(
                tx, owner=visit.owner, delivery_id=public_id, ids=visit.deps.ids, now=visit.now, by=_by(visit)
            )[0]
        service.resend(tx, owner=visit.owner, delivery_id=public_id, now=visit.now, by=_by(visit))
        return public_id

    public_id = await visit.write(sent)
    return visit.go(f"{visit.home}/developers/deliveries/{public_id}", note="resent")


async def deliveries(visit: Visit) -> Response:
    """List deliveries, newest first, narrowed by the query."""
    before, state = number(visit.query("before")), STATES.get(visit.query("state"))
    found = await visit.read(
        lambda tx: history.deliveries(
            tx,
            owner=visit.owner,
            limit=PAGE + 1,
            before=before or None,
            event_name=visit.query("event") or None,
            states=None if state is None else [state],
            object_id=visit.query("object") or None,
        )
    )
    facts = {"deliveries": found[:PAGE], "more": len(found) > PAGE, "states": list(STATES), "names": _names()}
    return visit.render("admin/developers/deliveries.html", facts)


async def delivery(visit: Visit) -> Response:
    """Show a delivery: its body, every attempt with what was sent and answered, and what comes next."""
    public_id = visit.path("delivery")
    found = await visit.read(lambda tx: history.delivery(tx, owner=visit.owner, public_id=public_id))
    if found is None:
        raise NotFound("DELIVERY_NOT_FOUND", "No such delivery.")
    attempts, body = await visit.read(
        lambda tx: (
            history.attempts(tx, [found.id]),
            history.payload(tx, event_seq=found.event_seq, variant=found.variant),
        )
    )
    facts = {
        "delivery": found,
        "attempts": [(one, _readable(one.detail), _text(one.body)) for one in attempts],
        "body": _text(body),
    }
    return visit.render("admin/developers/delivery.html", facts)


async def event_log(visit: Visit) -> Response:
    """List events, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: events.page(
            tx, owner=visit.owner, limit=PAGE + 1, before=before or None, type_=visit.query("type") or None
        )
    )
    facts = {"events": found[:PAGE], "more": len(found) > PAGE, "names": _names()}
    return visit.render("admin/developers/events.html", facts)


async def event(visit: Visit) -> Response:
    """Show an event: what it says, and where it went."""
    found = await visit.read(lambda tx: events.one(tx, visit.path("event"), owner=visit.owner))
    if found is None:
        raise NotFound("EVENT_NOT_FOUND", "No such event.")
    row, document = found
    sent = await visit.read(
        lambda tx: [
            one
            for one in history.deliveries(tx, owner=visit.owner, limit=200, object_id=row["object_id"])
            if one.event_seq == row["seq"]
        ]
    )
    return visit.render("admin/developers/event.html", {"event": row, "document": document, "deliveries": sent})


async def bench(visit: Visit) -> Response:
    """Ask for a body, headers and a secret."""
    return visit.render("admin/developers/bench.html", {"steps": None})


async def check(visit: Visit) -> Response:
    """Say which step of checking a signature fails. The secret is used for this one answer and kept nowhere."""
    given = Given(visit.form.get("headers", ""), visit.form.get("body", ""), Secret(visit.form.get("secret", "")))
    return visit.render("admin/developers/bench.html", {"steps": inspect(given, now=visit.now)})


def _by(visit: Visit) -> By:
    return By(visit.who.operator.actor, visit.caller.origin)


def _names() -> list[str]:
    return sorted({name for dialect in Dialect for name in catalogue.default_set(dialect)})


def _readable(detail: dict[str, Any]) -> str:
    return json.dumps(detail, ensure_ascii=False, indent=2)


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/developers/deliveries", deliveries, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/deliveries/{delivery}", delivery, "developers.view"),
    Screen("POST", "/m/{merchant}/developers/deliveries/{delivery}/attempts", resend, "developers.manage"),
    Screen("GET", "/m/{merchant}/developers/events", event_log, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/events/{event}", event, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/bench", bench, "developers.view"),
    Screen("POST", "/m/{merchant}/developers/bench", check, "developers.view"),
)
