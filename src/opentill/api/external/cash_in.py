"""POST /pix/cash-in: a charge as a QR and copy-and-paste code (pix-api.md §12.1)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from opentill.api.external import documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import wrong
from opentill.api.external.fields import amount, external_id, text, whole
from opentill.api.external.once import REPLAYED
from opentill.db import Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Refused
from opentill.kernel.secret import Keyring
from opentill.payments.model import Order
from opentill.payments.pix_flow import cash_in
from opentill.pix.model import DESCRIPTION_DEFAULT, GATEWAY, LIVE, TTL_S, Charge
from opentill.pix.qr import png_data_url
from opentill.web import idempotency
from opentill.web.exchange import Answer
from opentill.web.idempotency import Claimed, Finished, Slot
from opentill.web.json_body import write
from opentill.web.routes import Operation

DESCRIPTION_MAX: Final = 140
EXPIRES_IN_S: Final = range(60, 2_592_001)
ANSWERED: Final = (
    "worked",
    "transaction_id",
    "qr_code",
    "qr_code_image",
    "external_id",
    "amount",
    "status",
    "expires_at",
)
PROVIDER_REFUSED: Final = "PROVIDER_REFUSED"  # certain: there is no charge, so a repeat makes another


async def create(call: ExternalCall) -> Answer:
    """Make a charge. Under an idempotency key, a repeat after a failure goes on with the same charge."""
    order, description, key, expires_in_s = _read(call.fields)

    attempt = _Attempt(call)
    try:
        charge = await cash_in(
            call.dependencies.tools,
            order,
            merchant=call.by.merchant,
            description=description,
            expires_in_s=expires_in_s,
            key=key,
            claim=attempt.claim,
            finish=attempt.finish,
        )
    except _Answered as before:
        call.replayed = True
        return Answer(before.kept.status, _drawn(call, json.loads(before.kept.body)), REPLAYED)
    except Exception as failure:
        await attempt.release(forget=isinstance(failure, Refused) and failure.code == PROVIDER_REFUSED)
        raise

    return Answer(200, _drawn(call, _shown(charge)))


class _Answered(Exception):  # noqa: N818 - the request was answered before
    def __init__(self, kept: Finished) -> None:
        self.kept = kept


class _Attempt:
    """What an idempotency key has to do with one attempt. Without a key, nothing."""

    def __init__(self, call: ExternalCall) -> None:
        self._call = call
        self._slot: Slot | None = call.slot
        self._claimed: Claimed | None = None

    def claim(self, tx: Tx, proposed: str) -> str:
        """Take the key, and return the charge id an earlier attempt chose, or else the proposed one."""
        if self._slot is None:
            return proposed
        claimed = idempotency.claim(tx, self._slot, keyring=self._keyring, now=self._call.arrived_at)
        if isinstance(claimed, Finished):
            raise _Answered(claimed)
        self._claimed = claimed
        charge_id: str = claimed.chosen.get("charge", proposed)
        idempotency.choose(tx, self._slot, {"charge": charge_id})
        return charge_id

    def finish(self, tx: Tx, charge: Charge) -> None:
        """Keep the answer. Its image is drawn from the code whenever it is sent, so it is not kept."""
        if self._slot is not None:
            idempotency.finish(tx, self._slot, 200, write(_shown(charge)), keyring=self._keyring)

    async def release(self, *, forget: bool) -> None:
        """Free the key if this attempt holds it; *forget* the charge too if it is known not to exist."""
        slot, claimed = self._slot, self._claimed
        if slot is not None and claimed is not None:
            await self._call.dependencies.db.write(lambda tx: idempotency.release(tx, slot, claimed, forget=forget))

    @property
    def _keyring(self) -> Keyring:
        return self._call.dependencies.keyring


def _read(fields: Mapping[str, Any]) -> tuple[Order, str, str | None, int]:
    """Read the fields in the order of their table. Raises Invalid with the first fault."""
    asked = amount(fields)
    description = text(fields, "description", characters_max=DESCRIPTION_MAX) or DESCRIPTION_DEFAULT
    reference = external_id(fields)
    key = text(fields, "pix_key")
    text(fields, "city")
    expires_in_s = _expires_in(fields)
    order = Order(
        amount=asked,
        order_id=reference,
        description=description,
        gateway=GATEWAY,
        gateway_fixed=True,
        expires_in_s=expires_in_s,
    )
    return order, description, key.strip() if key else None, expires_in_s


def _expires_in(fields: Mapping[str, Any]) -> int:
    value = fields.get("expires_in")
    if value is None:
        return TTL_S
    seconds = whole(value)
    if seconds is None or seconds not in EXPIRES_IN_S:
        raise wrong("expires_in", f"expires_in must be between {EXPIRES_IN_S[0]} and {EXPIRES_IN_S[-1]}")
    return seconds


def _shown(charge: Charge) -> dict[str, Any]:
    return {
        "worked": True,
        "transaction_id": charge.id,
        "qr_code": charge.code,
        "external_id": charge.external_id,
        "amount": charge.amount.units,
        "status": "active" if charge.state in LIVE else charge.state.value,
        "expires_at": iso_seconds(charge.expires_at),
    }


def _drawn(call: ExternalCall, shown: Mapping[str, Any]) -> bytes:
    """Return the whole answer: the image follows from the code, to the byte."""
    image = png_data_url(shown["qr_code"])
    return call.written({name: image if name == "qr_code_image" else shown[name] for name in ANSWERED})


OPERATIONS: Final = (Operation("POST", "/pix/cash-in", create, "payment:write", documents.CASH_IN),)
