"""POST /pix/cash-out and its approval: sending money to a key or a copy-and-paste code (pix-api.md §12.3, §12.4)."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.api.external import payout_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, unusable, wrong
from opentill.api.external.fields import amount, external_id, first_of, text
from opentill.api.external.once import answered_before, once
from opentill.db import Tx
from opentill.kernel.errors import Refused
from opentill.pix.identifiers import is_strict_end_to_end_id
from opentill.pix.keys import Key, KeyType, canonical, detect
from opentill.pix.payouts import flow, service
from opentill.pix.payouts.model import Order, Payout, State
from opentill.pix.port import ToKey
from opentill.web.exchange import Answer
from opentill.web.routes import Operation

DESCRIPTION_MAX: Final = 140
CODE_FIELDS: Final = ("emv_code", "emv", "codigo_copia_cola")
DECISIONS: Final = ("approve", "reject")


async def create(call: ExternalCall) -> Answer:
    """Hold the money and put the payout on its way. The answer does not mean that it was sent."""
    before = await answered_before(call)
    if before is not None:
        return before
    order = await _read(call)
    able = await flow.capabilities(call.dependencies.tools, call.by.owner)

    def work(tx: Tx) -> bytes:
        payout = service.accept(
            tx,
            order,
            owner=call.by.owner,
            by=call.by.client_id,
            own_e2e=able.own_e2e,
            ids=call.dependencies.ids,
            now=call.arrived_at,
        )
        return call.written(_shown(payout))

    return await once(call, 200, work)


async def decide(call: ExternalCall) -> Answer:
    """Let a payout go that waits for a second person, or stop it."""
    payout_id = text(call.fields, "transaction_id")
    if not payout_id:
        raise missing("transaction_id")
    decision = text(call.fields, "decision") or "approve"
    if decision not in DECISIONS:
        raise wrong("decision", "decision is invalid")
    reason = text(call.fields, "reason", characters_max=DESCRIPTION_MAX)
    owner, by, now = call.by.owner, call.by.client_id, call.arrived_at

    def work(tx: Tx) -> bytes:
        if decision == "approve":
            service.approve(tx, payout_id, owner=owner, by=by, now=now)
            status, detail = "processing", "Transaction approved and sent for processing"
        else:
            service.reject(tx, payout_id, owner=owner, by=by, reason=reason, ids=call.dependencies.ids, now=now)
            status, detail = "failed", "Transaction rejected"
        return call.written({"worked": True, "transaction_id": payout_id, "status": status, "detail": detail})

    return await once(call, 200, work)


async def _read(call: ExternalCall) -> Order:
    """Read the fields in the order of their table. Raises Invalid with the first fault."""
    fields = call.fields
    asked = amount(fields)
    key_text = text(fields, "pix_key")
    code = first_of(fields, CODE_FIELDS)
    key_type = text(fields, "pix_key_type")
    if key_text and code:
        raise wrong("pix_key", "Send either pix_key or emv_code")
    if not key_text and not code:
        raise missing("pix_key")
    if key_type is not None and key_type not in tuple(KeyType):
        raise wrong("pix_key_type", "pix_key_type is invalid")
    key = _key(key_text, key_type) if key_text else None
    description = text(fields, "description", characters_max=DESCRIPTION_MAX)
    reference = external_id(call)
    rail_id = _end_to_end_id(fields)
    if key is not None:
        return Order(
            amount=asked,
            target=ToKey(key.value, key.type),
            recipient_key=key.value,
            description=description,
            external_id=reference,
            end_to_end_id=rail_id,
        )
    return await flow.order_by_code(
        call.dependencies.tools,
        code or "",
        asked,
        owner=call.by.owner,
        payload_wins=call.dependencies.settings.pix_compat_dynamic_amount == "payload_wins",
        description=description,
        external_id=reference,
        end_to_end_id=rail_id,
    )


def _key(given: str, key_type: str | None) -> Key:
    try:
        return detect(given) if key_type is None else canonical(given, KeyType(key_type))
    except Refused:
        raise unusable("pix_key", "Invalid PIX key") from None


def _end_to_end_id(fields: Mapping[str, Any]) -> str | None:
    value = text(fields, "end_to_end_id")
    if value is not None and not is_strict_end_to_end_id(value):
        raise wrong("end_to_end_id", "end_to_end_id is invalid")
    return value


def _shown(payout: Payout) -> dict[str, Any]:
    waits = payout.state is State.PENDING_APPROVAL
    return {
        "worked": True,
        "transaction_id": payout.id,
        "end_to_end_id": payout.end_to_end_id,
        "external_id": payout.external_id,
        "amount": payout.amount.units,
        "fee_amount": payout.fee.units,
        "net_amount": payout.hold.units,
        "status": "pending_approval" if waits else "accepted",
        "detail": "PIX aguardando aprovacao" if waits else "PIX enviado para processamento",
    }


OPERATIONS: Final = (
    Operation("POST", "/pix/cash-out", create, "transfer:write", documents.CASH_OUT),
    Operation("POST", "/pix/cash-out/approve", decide, "transfer:approve", documents.DECIDE),
)
