"""What everybody may read: the catalogue of events with its schemas (webhooks.md §10), and what error codes mean."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.portal import view
from opentill.web import error_codes
from opentill.web.dependencies import Dependencies
from opentill.web.pages import Pages
from opentill.webhooks import schema
from opentill.webhooks.model import Dialect

AN_HOUR: Final = "public, max-age=3600"


def create_documents_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at `/docs`."""
    documents = Documents(pages or Pages(ids=deps.ids, public_url=deps.settings.public_url))
    return documents.pages.application(
        [
            Route("/webhooks", documents.catalogue),
            Route("/webhooks/schema.json", documents.schema),
            Route("/errors", documents.errors),
        ],
        surface="docs",
    )


@dataclass(frozen=True, slots=True)
class Documents:
    """The handlers, and what they are given."""

    pages: Pages

    async def catalogue(self, request: Request) -> Response:
        """Show every event of every dialect, one of them in full."""
        facts = view.catalogue_facts(list(Dialect), request.query_params)
        return self.pages.render(request, "portal/docs.html", facts)

    async def schema(self, request: Request) -> Response:
        """Answer with the bundle."""
        headers = {"Cache-Control": AN_HOUR, "Access-Control-Allow-Origin": "*"}
        return Response(schema.text(), media_type="application/schema+json", headers=headers)

    async def errors(self, request: Request) -> Response:
        """Show every code of both APIs with its cause and cure."""
        return self.pages.render(request, "portal/errors.html", {"meanings": error_codes.MEANINGS})
