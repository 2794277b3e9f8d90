"""/gateways: what a merchant may name as `gateway` (merchant-api.md §9.11)."""

from typing import Any, Final

from opentill.api.merchant import install_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency, render
from opentill.merchants import gateways
from opentill.merchants.gateways import ActiveGateway
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

BY_HAND: Final = frozenset({"refund", "partial_refund"})  # an operator can send back any part
MERCHANTS_WORDS: Final = frozenset({"refund", "partial_refund", "embedded", "sandbox"})  # the rest is between us


async def index(call: MerchantCall) -> Answer:
    """List the gateways that are switched on, in the order payers see them."""
    owner = call.by.owner
    active = await call.dependencies.db.read(lambda tx: gateways.active(tx, owner=owner))

    return Answer(200, write({"success": True, "data": [_shown(call, way) for way in active]}))


def _shown(call: MerchantCall, way: ActiveGateway) -> dict[str, Any]:
    return {
        "slug": way.slug,
        "name": way.name,
        "type": "manual" if way.manual else "api",
        "currencies": [way.currency] if way.currency else None,
        "min_amount": _limit(way, way.min_units),
        "max_amount": _limit(way, way.max_units),
        "capabilities": sorted(_capabilities(call, way)),
        "sandbox": call.by.owner.mode is Mode.SANDBOX,
    }


def _limit(way: ActiveGateway, units: int | None) -> str | None:
    """Write a limit, which has a meaning only in the one currency a gateway takes."""
    return render(Money(units, currency(way.currency))) if units is not None and way.currency else None


def _capabilities(call: MerchantCall, way: ActiveGateway) -> frozenset[str]:
    if way.manual:
        return BY_HAND
    tools = call.dependencies.tools
    gateway, refunder = tools.gateways.get(way.slug), tools.refunder(way.slug)
    known = gateway.capabilities & MERCHANTS_WORDS if gateway else frozenset[str]()
    gives_back = {"refund"} if refunder and refunder.refund_terms.possible else set[str]()
    partly = {"partial_refund"} if refunder and gives_back and refunder.refund_terms.partly else set[str]()
    return known | gives_back | partly


OPERATIONS: Final = (Operation("GET", "/gateways", index, "read", documents.GATEWAYS),)
