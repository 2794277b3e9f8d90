"""The request log in the hub: what programs asked, how it ended, and the same as a command (merchant-api.md §16.1)."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from opentill.admin.numbers import day_start, number
from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.db import ReadTx
from opentill.kernel.errors import NotFound
from opentill.merchants import credentials, queries, request_log
from opentill.merchants.request_log import Filters
from opentill.web.error_codes import BY_CODE

PAGE: Final = 50
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSED_FROM: Final = 400  # statuses from here on are refusals

Caller = tuple[str, int]  # the surface, and the id of a key or credential


async def index(visit: Visit) -> Response:
    """List requests, newest first, narrowed by the query."""
    before = number(visit.query("before"))
    surface, _, caller_id = visit.query("caller").partition(":")
    filters = Filters(
        surface=surface if surface in request_log.SURFACES else None,
        caller_id=number(caller_id) or None,
        idempotency_key=visit.query("idempotency_key") or None,
        request_id=visit.query("request_id") or None,
        method=visit.query("method") if visit.query("method") in METHODS else None,
        status_from=REFUSED_FROM if visit.query("refused") else None,
        since=day_start(visit.query("since")),
    )
    names, found = await visit.read(
        lambda tx: (
            _names(tx, visit),
            request_log.page(tx, owner=visit.owner, filters=filters, before=before or None, limit=PAGE + 1),
        )
    )
    facts = {"requests": found[:PAGE], "more": len(found) > PAGE, "names": names, "methods": METHODS}
    return visit.render("admin/developers/requests.html", facts)


async def show(visit: Visit) -> Response:
    """Show one request, and how to send it again."""
    wanted = number(visit.path("request"))
    names, asked = await visit.read(lambda tx: (_names(tx, visit), request_log.one(tx, wanted, owner=visit.owner)))
    if asked is None:
        raise NotFound("REQUEST_NOT_FOUND", "No such request.")
    label, name, place = names.get((asked.surface, asked.caller_id), ("–", "…", ""))
    curl = request_log.as_curl(asked, visit.deps.settings.public_url, name=name)
    facts = {
        "asked": asked,
        "label": label,
        "name": name,
        "place": place,
        "curl": curl,
        "meaning": BY_CODE.get(asked.code),
    }
    return visit.render("admin/developers/request.html", facts)


def _names(tx: ReadTx, visit: Visit) -> Mapping[Caller, tuple[str, str, str]]:
    """Return what keys and credentials are called, their public name, and their page."""
    owner, hub = visit.owner, f"{visit.home}/developers"
    keys = {
        ("merchant", key.id): (key.name, key.prefix, f"{hub}/keys/{key.id}")
        for key in queries.api_keys(tx, owner=owner, now=visit.now, ended=True)
    }
    return keys | {
        ("pix", one.id): (one.name, one.client_id, f"{hub}/credentials/{one.client_id}")
        for one in credentials.of(tx, owner=owner)
    }


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/developers/requests", index, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/requests/{request}", show, "developers.view"),
)
