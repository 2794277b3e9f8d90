"""The portal's routes, and its pages to read: parse, call, render."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.db import ReadTx
from opentill.portal import bench, view
from opentill.portal.actions import Actions
from opentill.portal.entrance import Entrance
from opentill.portal.finding import find_card, find_delivery
from opentill.web.dependencies import Dependencies
from opentill.web.engine import bounds_of, engine_of, patience_of
from opentill.web.forms import Stamps
from opentill.web.pages import Pages
from opentill.webhooks import queries, schema, service
from opentill.webhooks.model import Dialect
from opentill.webhooks.portal_access import Visitor
from opentill.webhooks.queries.portal import Card, cards

ROWS_SHOWN: Final = 25


def create_portal_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at `/portal`."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    stamps = Stamps(deps.keyring, deps.ids)
    entrance = Entrance(deps, pages)
    portal = Portal(deps, pages, stamps, entrance)
    actions = Actions(deps, pages, stamps, entrance, engine_of(deps))
    return pages.application(
        [
            Route("/", portal.endpoints),
            Route("/leave", entrance.leave, methods=["POST"]),
            Route("/check", portal.check),
            Route("/check", portal.check_pasted, methods=["POST"]),
            Route("/events", portal.catalogue),
            Route("/samples", portal.samples),
            Route("/endpoints/{endpoint}", portal.endpoint),
            Route("/endpoints/{endpoint}/test", actions.test, methods=["POST"]),
            Route("/endpoints/{endpoint}/secret", actions.rotate, methods=["POST"]),
            Route("/endpoints/{endpoint}/settings", actions.change, methods=["POST"]),
            Route("/endpoints/{endpoint}/activation", actions.activate, methods=["POST"]),
            Route("/endpoints/{endpoint}/replays", actions.again, methods=["POST"]),
            Route("/endpoints/{endpoint}/replays/{replay}/end", actions.stop, methods=["POST"]),
            Route("/deliveries/{delivery}", portal.delivery),
            Route("/deliveries/{delivery}/resend", actions.resend, methods=["POST"]),
            Route("/{token}", entrance.enter),
        ],
        surface="portal",
    )


@dataclass(frozen=True, slots=True)
class Portal:
    """The handlers of what can be read, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps
    entrance: Entrance

    async def endpoints(self, request: Request) -> Response:
        """Show the link's endpoints with their health."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        found = await self.deps.db.read(lambda tx: cards(tx, owner=visitor.owner, names=visitor.endpoints))
        return await self._render(request, visitor, "endpoints", {"cards": found})

    async def endpoint(self, request: Request) -> Response:
        """Show one endpoint, its deliveries, and what may be done with it."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        wanted = view.Wanted.read(request.query_params)

        def load(tx: ReadTx) -> tuple[Card, list[queries.DeliveryRow], list[view.Job]]:
            card = find_card(tx, visitor, request.path_params["endpoint"])
            endpoint = card.endpoint
            jobs = service.replays_of(tx, owner=visitor.owner, dialect=endpoint.dialect, endpoint_id=endpoint.id)
            rows = queries.deliveries(
                tx,
                owner=visitor.owner,
                endpoint_id=card.endpoint.id,
                limit=ROWS_SHOWN + 1,
                before=wanted.before,
                event_name=wanted.event,
                states=None if wanted.state is None else [view.STATES[wanted.state]],
            )
            return card, rows, view.jobs_of(jobs)

        card, rows, jobs = await self.deps.db.read(load)
        facts = {
            "card": card,
            "rows": rows[:ROWS_SHOWN],
            "older": rows[ROWS_SHOWN - 1].id if len(rows) > ROWS_SHOWN else None,
            "jobs": jobs,
            "rate": bounds_of(self.deps.settings).replay_rate,
            "patience": patience_of(self.deps.settings),
            "wanted": wanted,
            "states": list(view.STATES),
            "events": schema.events_of(card.endpoint.dialect),
            "stamps": {name: self.stamps.make(name, *view.facts_of(visitor, card)) for name in view.ACTIONS},
            "note": request.query_params.get("note"),
        }
        return await self._render(request, visitor, "endpoint", facts)

    async def delivery(self, request: Request) -> Response:
        """Show a delivery: its bytes, every attempt, and the coming tries until the schedule ends."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)

        def load(tx: ReadTx) -> view.DeliveryPage:
            row = find_delivery(tx, visitor, request.path_params["delivery"])
            card = find_card(tx, visitor, row.endpoint_public_id)
            body = queries.payload(tx, event_seq=row.event_seq, variant=row.variant)
            return view.DeliveryPage(row, card, queries.attempts(tx, [row.id]), body)

        page = await self.deps.db.read(load)
        facts = {
            "page": page,
            "coming": view.coming_tries(page),
            "stamp": self.stamps.make("resend", *view.resend_facts(visitor, page.row)),
            "note": request.query_params.get("note"),
        }
        return await self._render(request, visitor, "delivery", facts)

    async def check(self, request: Request) -> Response:
        """Show the verification bench."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        return await self._bench(request, visitor, bench.EMPTY)

    async def check_pasted(self, request: Request) -> Response:
        """Check what was pasted, and say which step fails. The secret is neither stored nor shown again."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        asked = await bench.read(request)
        found = await bench.check(self.deps, visitor, asked)
        return await self._bench(request, visitor, asked, found)

    async def _bench(
        self, request: Request, visitor: Visitor, asked: bench.Asked, found: bench.Found | None = None
    ) -> Response:
        own = await self.deps.db.read(lambda tx: cards(tx, owner=visitor.owner, names=visitor.endpoints))
        dialects = sorted({card.endpoint.dialect for card in own}) or list(Dialect)
        facts = {"asked": asked, "found": found, "dialects": [d.name.lower() for d in dialects]}
        return await self._render(request, visitor, "check", facts)

    async def catalogue(self, request: Request) -> Response:
        """Show the events of the endpoints' dialects, with schema and sample."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        own = await self.deps.db.read(lambda tx: cards(tx, owner=visitor.owner, names=visitor.endpoints))
        dialects = sorted({card.endpoint.dialect for card in own})
        return await self._render(request, visitor, "events", view.catalogue_facts(dialects, request.query_params))

    async def samples(self, request: Request) -> Response:
        """Show how to verify a request, in three languages of programmers."""
        visitor = await self.entrance.visitor(request)
        if visitor is None:
            return self.entrance.closed(request)
        return await self._render(request, visitor, "samples", {"samples": view.samples()})

    async def _render(self, request: Request, visitor: Visitor, page: str, facts: Mapping[str, object]) -> Response:
        frame = await self.entrance.frame(visitor, page)
        return self.pages.render(request, f"portal/{page}.html", {**facts, **frame})
