"""The merchant's face on the pages payers see: its name, logo, colour, and whom to ask.

A colour cannot stand in the page itself, whose policy allows no styles there: it is a style sheet of its own, named
after the colour. Lightness is ours, so that text stays readable whatever a merchant chose.
"""

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opentill.db import Database
from opentill.kernel.errors import NotFound
from opentill.merchants import brands
from opentill.merchants.brands import Brand

SHEET_NAME: Final = re.compile(r"([0-9a-f]{6})\.css", re.ASCII)
FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
SHEET: Final = """\
@supports (color: oklch(from red l c h)) {
  :root {
    --accent: oklch(from #COLOUR 0.47 min(c, 0.13) h);
    --accent-deep: oklch(from #COLOUR 0.4 min(c, 0.11) h);
    --accent-soft: oklch(from #COLOUR 0.955 min(c, 0.025) h);
    --on-accent: oklch(1 0 0);
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --accent: oklch(from #COLOUR 0.8 min(c, 0.115) h);
      --accent-deep: oklch(from #COLOUR 0.86 min(c, 0.1) h);
      --accent-soft: oklch(from #COLOUR 0.295 min(c, 0.036) h);
      --on-accent: oklch(from #COLOUR 0.2 min(c, 0.03) h);
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Face:
    """What the templates show of a merchant."""

    name: str
    logo_url: str | None
    sheet_url: str | None
    support_email: str | None
    support_phone: str | None


def face_of(brand: Brand) -> Face:
    """Return a merchant's face."""
    return Face(
        brand.name,
        f"/checkout/logo/{brand.logo_digest}" if brand.logo_digest else None,
        f"/checkout/brand/{brand.colour.removeprefix('#')}.css" if brand.colour else None,
        brand.support_email,
        brand.support_phone,
    )


def routes(database: Database) -> list[Route]:
    """Return where logos and colours are served."""

    async def logo(request: Request) -> Response:
        digest = request.path_params["digest"]
        found = await database.read(lambda tx: brands.logo(tx, digest))
        if found is None:
            raise NotFound("LOGO_NOT_FOUND", "No such logo.")
        return Response(found.body, headers=FOR_EVER, media_type=found.media_type)

    async def sheet(request: Request) -> Response:
        named = SHEET_NAME.fullmatch(request.path_params["name"])
        if named is None:
            raise NotFound("COLOUR_NOT_FOUND", "No such colour.")
        return Response(SHEET.replace("COLOUR", named[1]), headers=FOR_EVER, media_type="text/css")

    return [Route("/logo/{digest}", logo), Route("/brand/{name}", sheet)]
