"""What a visitor may do, each by a right of the link: every form counts once and is answered with a redirect.

Only a new secret is answered with a page, because it is shown this once.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Conflict, Invalid, Refused
from opentill.portal import view
from opentill.portal.entrance import Entrance
from opentill.portal.finding import find_card, find_delivery, see_other
from opentill.web import forms
from opentill.web.dependencies import Dependencies
from opentill.web.engine import bounds_of
from opentill.web.forms import Fields, Stamps, Use
from opentill.web.pages import Pages
from opentill.webhooks import flow, service
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import By, Recover
from opentill.webhooks.portal_access import Visitor
from opentill.webhooks.queries.portal import Card
from opentill.webhooks.signing import standard_form

OVERLAPS_S: Final = {"none": 0, "day": 86_400, "week": 604_800}
SINCE: Final = {"since_day": DAY, "since_week": 7 * DAY}


@dataclass(frozen=True, slots=True)
class Asked:
    """A form about an endpoint that is ours, fits, and was not seen before."""

    visitor: Visitor
    card: Card
    form: Fields
    by: By


@dataclass(frozen=True, slots=True)
class Actions:
    """The handlers of forms, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps
    entrance: Entrance
    engine: Engine

    async def test(self, request: Request) -> Response:
        """Send `webhook.test` at once; the answer is on the delivery's page."""

        async def do(asked: Asked) -> Response:
            tested = await flow.send_test(
                self.engine,
                owner=asked.visitor.owner,
                dialect=asked.card.endpoint.dialect,
                endpoint_id=asked.card.endpoint.public_id,
                by=asked.by,
            )
            return see_other(f"/portal/deliveries/{tested.delivery_id}?note=tested")

        return await self._about_endpoint(request, "test", "test", do)

    async def rotate(self, request: Request) -> Response:
        """Give the endpoint a new secret and show it, this once."""

        async def do(asked: Asked) -> Response:
            deps, endpoint = self.deps, asked.card.endpoint
            rotated = await deps.db.write(
                lambda tx: service.rotate_secret(
                    tx,
                    owner=asked.visitor.owner,
                    dialect=endpoint.dialect,
                    endpoint_id=endpoint.public_id,
                    ids=deps.ids,
                    keyring=deps.keyring,
                    now=deps.clock.now(),
                    overlap_s=OVERLAPS_S.get(asked.form.get("overlap", ""), OVERLAPS_S["day"]),
                    by=asked.by,
                )
            )
            facts = {
                "card": asked.card,
                "rotated": rotated,
                "secret": rotated.secret.reveal(),
                "standard": standard_form(rotated.secret).reveal(),
            }
            frame = await self.entrance.frame(asked.visitor, "rotated")
            return self.pages.render(request, "portal/rotated.html", {**facts, **frame})

        return await self._about_endpoint(request, "rotate", "rotate", do)

    async def change(self, request: Request) -> Response:
        """Give the endpoint another URL or other events."""

        async def do(asked: Asked) -> Response:
            deps, endpoint = self.deps, asked.card.endpoint
            chosen = tuple(asked.form.get("events", "").split())
            url = asked.form.get("url", "").strip()
            await deps.db.write(
                lambda tx: service.change_endpoint(
                    tx,
                    owner=asked.visitor.owner,
                    dialect=endpoint.dialect,
                    endpoint_id=endpoint.public_id,
                    now=deps.clock.now(),
                    url=None if endpoint.is_pulled else url,
                    options=replace(endpoint.options, events=chosen or None),
                    bounds=bounds_of(deps.settings),
                    by=asked.by,
                )
            )
            return self._to_endpoint(endpoint.public_id, "changed")

        return await self._about_endpoint(request, "edit", "change", do)

    async def activate(self, request: Request) -> Response:
        """Pause the endpoint, or take it back into service with or without what it missed."""

        async def do(asked: Asked) -> Response:
            deps, endpoint, now = self.deps, asked.card.endpoint, self.deps.clock.now()
            wish = asked.form.get("wish", "")
            since = Instant(now - SINCE[wish]) if wish in SINCE else None
            recover = Recover.SINCE if since is not None else Recover.ALL if wish == "all" else Recover.NONE
            await deps.db.write(
                lambda tx: service.set_active(
                    tx,
                    owner=asked.visitor.owner,
                    dialect=endpoint.dialect,
                    endpoint_id=endpoint.public_id,
                    active=wish != "pause",
                    ids=deps.ids,
                    now=now,
                    recover=recover,
                    since=since,
                    by=asked.by,
                )
            )
            self.engine.to_send.ring([endpoint.id])
            return self._to_endpoint(endpoint.public_id, "paused" if wish == "pause" else "activated")

        return await self._about_endpoint(request, "edit", "activate", do)

    async def again(self, request: Request) -> Response:
        """Send again what did not arrive, or all that the list shows: a job does it, at a bounded pace."""

        async def do(asked: Asked) -> Response:
            deps, now, wish = self.deps, self.deps.clock.now(), asked.form.get("wish", "")
            common: dict[str, Any] = {
                "owner": asked.visitor.owner,
                "dialect": asked.card.endpoint.dialect,
                "endpoint_id": asked.card.endpoint.public_id,
                "ids": deps.ids,
                "now": now,
                "by": asked.by,
                "rate_per_s": bounds_of(deps.settings).replay_rate,
            }

            def start(tx: Tx) -> str:
                if wish in SINCE:
                    return service.recover(tx, since=Instant(now - SINCE[wish]), **common)
                if wish == "listed":
                    return service.resend_matching(tx, **_filter(asked.form), **common)
                return service.recover(tx, since=None, **common)

            await deps.db.write(start)
            return self._to_endpoint(asked.card.endpoint.public_id, "again")

        return await self._about_endpoint(request, "resend", "again", do)

    async def stop(self, request: Request) -> Response:
        """Stop a job where it is."""

        async def do(asked: Asked) -> Response:
            deps, replay = self.deps, request.path_params["replay"]
            name, owner = asked.card.endpoint.public_id, asked.visitor.owner

            def end(tx: Tx) -> None:
                own = service.replays_of(tx, owner=owner, dialect=asked.card.endpoint.dialect, endpoint_id=name)
                if replay not in {one.id for one in own}:
                    raise service.ReplayNotFound
                service.cancel_replay(tx, owner=owner, replay_id=replay, now=deps.clock.now(), by=asked.by)

            await deps.db.write(end)
            return self._to_endpoint(name, "stopped")

        return await self._about_endpoint(request, "resend", "stop", do)

    async def resend(self, request: Request) -> Response:
        """Make one more attempt of a delivery now."""
        form, visitor = await self._asked(request, "resend")
        if visitor is None:
            return self.entrance.closed(request)
        name = request.path_params["delivery"]
        row = await self.deps.db.read(lambda tx: find_delivery(tx, visitor, name))
        if not self.stamps.fits(form, "resend", *view.resend_facts(visitor, row)):
            return see_other(f"/portal/deliveries/{name}?note=stale")
        if not await self._is_first(visitor, form, f"portal/{name}/resend"):
            return see_other(f"/portal/deliveries/{name}")
        by = By(visitor.actor, self.entrance.origin(request))
        try:
            await self.deps.db.write(
                lambda tx: service.resend(tx, owner=visitor.owner, delivery_id=name, now=self.deps.clock.now(), by=by)
            )
        except Conflict:
            return see_other(f"/portal/deliveries/{name}?note=busy")
        self.engine.to_send.ring([row.endpoint_id])
        return see_other(f"/portal/deliveries/{name}?note=resent")

    async def _about_endpoint(
        self, request: Request, right: str, action: str, do: Callable[[Asked], Awaitable[Response]]
    ) -> Response:
        """Do what a form about an endpoint asks for, once, if the link has the right."""
        form, visitor = await self._asked(request, right)
        if visitor is None:
            return self.entrance.closed(request)
        name = request.path_params["endpoint"]

        def load(tx: ReadTx) -> Card:
            return find_card(tx, visitor, name)

        card = await self.deps.db.read(load)
        if not self.stamps.fits(form, action, *view.facts_of(visitor, card)):
            return self._to_endpoint(name, "stale")
        if not await self._is_first(visitor, form, f"portal/{name}/{action}"):
            return self._to_endpoint(name, "used")
        try:
            return await do(Asked(visitor, card, form, By(visitor.actor, self.entrance.origin(request))))
        except Invalid as wrong:
            return self._to_endpoint(name, f"wrong_{wrong.faults[0].field}")
        except Refused:
            return self._to_endpoint(name, "refused")

    async def _asked(self, request: Request, right: str) -> tuple[Fields, Visitor | None]:
        """Return the form and who sent it. Raises 403 where the link lacks the right."""
        form = await forms.read(request)
        visitor = await self.entrance.visitor(request)
        if visitor is not None and not visitor.may(right):
            raise HTTPException(HTTPStatus.FORBIDDEN)
        return form, visitor

    async def _is_first(self, visitor: Visitor, form: Fields, scope: str) -> bool:
        seen = await self.deps.db.write(
            lambda tx: forms.use(
                tx, form, scope, owner=visitor.owner, keyring=self.deps.keyring, now=self.deps.clock.now()
            )
        )
        return seen is Use.FIRST

    def _to_endpoint(self, name: str, note: str) -> Response:
        return see_other(f"/portal/endpoints/{name}?note={note}")


def _filter(form: Fields) -> dict[str, Any]:
    """Return what the list showed when the form was sent."""
    state, event = form.get("state", ""), form.get("event", "")
    states = {"states": [view.STATES[state]]} if state in view.STATES else {}
    return {**states, "event_name": event or None}
