"""/med: contests of receipts and the merchant's defence (pix-api.md §14)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.api.external import med_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, wrong
from opentill.api.external.fields import text
from opentill.api.external.once import once
from opentill.db import Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import NotFound
from opentill.payments.infractions import service
from opentill.payments.infractions.model import Infraction
from opentill.web.exchange import Answer
from opentill.web.routes import Operation

DEFENSE_MAX: Final = 4_000  # characters
EVIDENCE_MAX: Final = 10
EVIDENCE_FIELDS: Final = ("type", "url", "description", "source", "filename", "received_at")
EVIDENCE_TEXT_MAX: Final = 2_048  # characters


async def index(call: ExternalCall) -> Answer:
    """List the contests, newest first. The result is not among what is shown."""
    owner = call.by.owner
    found = await call.dependencies.db.read(lambda tx: service.listed(tx, owner=owner))
    return Answer(200, call.written({"worked": True, "meds": [_shown(infraction) for infraction in found]}))


async def show(call: ExternalCall) -> Answer:
    """Show one contest with its reason."""
    owner, med_id = call.by.owner, call.values["id"]
    infraction = await call.dependencies.db.read(lambda tx: service.find(tx, med_id, owner=owner))
    if infraction is None:
        raise NotFound("MED_NOT_FOUND", "MED not found")
    return Answer(200, call.written({"worked": True, "med": {**_shown(infraction), "reason": infraction.reason}}))


async def defend(call: ExternalCall) -> Answer:
    """Take the merchant's defence and hand it on."""
    defense = text(call.fields, "defense_text", characters_max=DEFENSE_MAX)
    if not defense:
        raise missing("defense_text")
    evidence = _evidence(call.fields)
    owner, med_id, ids, now = call.by.owner, call.values["id"], call.dependencies.ids, call.arrived_at

    def work(tx: Tx) -> bytes:
        infraction = service.defend(tx, med_id, defense, evidence, owner=owner, ids=ids, now=now)
        return call.written(
            {
                "worked": True,
                "status": "defense_submitted",
                "med_id": infraction.id,
                "block_id": infraction.block_id,
                "evidence_count": len(evidence),
                "defense_submitted_at": iso_seconds(now),
            }
        )

    return await once(call, 200, work)


def _evidence(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    value = fields.get("evidence")
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong("evidence", "evidence must be an array")
    if len(value) > EVIDENCE_MAX:
        raise wrong("evidence", f"evidence must have at most {EVIDENCE_MAX} items")
    return [_piece(item) for item in value]


def _piece(item: object) -> dict[str, str]:
    given = item if isinstance(item, dict) else {}
    piece = {
        name: found
        for name in EVIDENCE_FIELDS
        if (found := text(given, name, characters_max=EVIDENCE_TEXT_MAX)) is not None
    }
    if not (piece.get("url") or piece.get("description")):
        raise wrong("evidence", "evidence items need url or description")
    return piece


def _shown(infraction: Infraction) -> dict[str, Any]:
    return {
        "id": infraction.id,
        "type": infraction.kind,
        "status": infraction.status,
        "amount": infraction.amount.units,
        "original_end_to_end_id": infraction.receipt.end_to_end_id,
        "created_at": iso_seconds(infraction.opened_at),
    }


OPERATIONS: Final = (
    Operation("GET", "/med", index, "payment:read", documents.LIST),
    Operation("GET", "/med/{id}", show, "payment:read", documents.SHOW),
    Operation("POST", "/med/{id}/defense", defend, "payment:write", documents.DEFEND),
)
