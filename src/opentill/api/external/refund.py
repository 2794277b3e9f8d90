"""POST /pix/refund: giving back what was received (pix-api.md §12.5)."""

from typing import Any, Final

from opentill.api.external import payout_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, wrong
from opentill.api.external.fields import amount, first_of, text
from opentill.api.external.once import answered_before, once
from opentill.db import Tx
from opentill.payments.pix import refunds as pix_refunds
from opentill.payments.pix.refunder import TEXT
from opentill.web.exchange import Answer
from opentill.web.routes import Operation

# First present wins. A camelCase name arrives as its snake_case form, or as it is from a caller of the other case.
ORIGINAL_FIELDS: Final = (
    "original_transaction_id",
    "original_e2e_id",
    "transaction_id",
    "end_to_end_id",
    "originalTransactionId",
)
REASON_FIELDS: Final = ("reason", "return_code")
REASONS: Final = ("MD06", "BE08", "AM09", "SL02", "RR04")
DESCRIPTION_MAX: Final = 140


async def create(call: ExternalCall) -> Answer:
    """Hold what is to go back; it is sent after the answer."""
    before = await answered_before(call)
    if before is not None:
        return before
    fields, deps, owner = call.fields, call.dependencies, call.by.owner
    original = first_of(fields, ORIGINAL_FIELDS)
    if original is None:
        raise missing("original_transaction_id")
    reason = first_of(fields, REASON_FIELDS)
    if reason is None and deps.settings.pix_compat_refund_reason_required:
        raise missing("reason")
    await deps.db.read(lambda tx: pix_refunds.original(tx, original, owner=owner))  # unknown ones answer first
    units = amount(fields).units if fields.get("amount") is not None else None
    reason = reason or REASONS[0]
    if reason not in REASONS:
        raise wrong("reason", "Invalid refund reason")
    shown = text(fields, "description", characters_max=DESCRIPTION_MAX) or TEXT

    def work(tx: Tx) -> bytes:
        refund, reversed_id = pix_refunds.request(
            tx,
            original,
            units,
            reason=reason,
            text=shown,
            owner=owner,
            ids=deps.ids,
            keyring=deps.keyring,
            now=call.arrived_at,
        )
        answer: dict[str, Any] = {
            "worked": True,
            "refund_id": refund.public_id,
            "transaction_id": reversed_id,
            "amount": refund.charge.units,
            "status": "processing",
        }
        return call.written(answer)

    return await once(call, 200, work)


OPERATIONS: Final = (Operation("POST", "/pix/refund", create, "transfer:write", documents.REFUND),)
