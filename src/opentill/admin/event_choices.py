"""Which events an endpoint is told of, as forms offer and read them, and what software that receives them expects."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from opentill.admin.visit import Visit
from opentill.web.engine import bounds_of
from opentill.webhooks import catalogue
from opentill.webhooks.model import AmountFormat, Dialect, Endpoint, Options, Payments, SignatureFormat

WOO_EVENTS: Final = ("payment.completed", "payment.failed", "payment.cancelled")
PRESETS: Final = {  # merchant-api.md §14.6
    "woocommerce": Options(events=WOO_EVENTS, payments=Payments.OWN),
    "laravel": Options(),
    "node": Options(signature_format=SignatureFormat.BARE),
    "seed": Options(events=("payment.*",), amount_format=AmountFormat.NUMBER),
}


def offered_at_first() -> dict[str, Any]:
    """Return the names and presets a form for a new endpoint offers, whose dialect is still to be chosen."""
    usual = {name for dialect in Dialect for name in catalogue.default_set(dialect)}
    return {"events": sorted(usual.union(catalogue.OPERATIONAL_EVENTS)), "presets": tuple(PRESETS)}


def offered_to(visit: Visit, endpoint: Endpoint, *, sent: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the names an endpoint may have, those that are offered and those it has, and which are ticked: its own,
    unless somebody *sent* others, which were refused.
    """
    pix_extra, had = bounds_of(visit.deps.settings).pix_extra_events, endpoint.options.events or ()
    offered = catalogue.offered(endpoint.dialect, kind=endpoint.kind, pix_extra=pix_extra)
    return {
        "events": tuple(dict.fromkeys((*offered, *had, *(sent or ())))),
        "ticked": had if sent is None else sent,
    }


def preset(visit: Visit, dialect: Dialect, url: str) -> Options:
    """Return the options of a new endpoint: those of the software it is for, and the events that are ticked."""
    chosen = visit.field("preset")
    if not chosen and "wc-api" in url:
        chosen = "woocommerce"
    options = PRESETS.get(chosen, Options()) if dialect is Dialect.MERCHANT else Options()
    events = ticked(visit) or options.events
    return replace(options, events=events, description=visit.field("description") or None)


def ticked(visit: Visit) -> tuple[str, ...] | None:
    """Return the events that are ticked, also those the endpoint cannot have: they are refused, not left out."""
    return tuple(dict.fromkeys(visit.lists.get("event", ()))) or None
