"""Finding what a link opens, and nothing else: foreign names are not found."""

from http import HTTPStatus

from starlette.responses import RedirectResponse, Response

from opentill.db import ReadTx
from opentill.kernel.errors import NotFound
from opentill.webhooks import queries
from opentill.webhooks.portal_access import Visitor
from opentill.webhooks.queries.portal import Card, cards


def find_card(tx: ReadTx, visitor: Visitor, name: str) -> Card:
    """Return one of the link's endpoints. Raises `NotFound` for every other."""
    found = cards(tx, owner=visitor.owner, names=[name]) if name in visitor.endpoints else []
    if not found:
        raise NotFound("ENDPOINT_NOT_FOUND", "Webhook endpoint not found.")
    return found[0]


def find_delivery(tx: ReadTx, visitor: Visitor, name: str) -> queries.DeliveryRow:
    """Return a delivery to one of the link's endpoints. Raises `NotFound` for every other."""
    row = queries.delivery(tx, owner=visitor.owner, public_id=name)
    if row is None or row.endpoint_public_id not in visitor.endpoints:
        raise NotFound("DELIVERY_NOT_FOUND", "Delivery not found.")
    return row


def see_other(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
