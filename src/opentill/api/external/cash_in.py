"""POST /pix/cash-in: a charge as a QR and copy-and-paste code (pix-api.md §12.1)."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from opentill.api.external import documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import wrong
from opentill.api.external.fields import amount, external_id, text, whole
from opentill.api.external.once import REPLAYED, answered_before, once
from opentill.db import Tx
from opentill.kernel.clock import iso_seconds
from opentill.kernel.errors import Invalid, Refused
from opentill.kernel.secret import Keyring
from opentill.payments.model import Order
from opentill.payments.pix.flow import cancel_by_id, cash_in
from opentill.pix.brcode import BadCode, shown_text
from opentill.pix.model import DESCRIPTION_DEFAULT, GATEWAY, LIVE, Charge
from opentill.pix.qr import png_data_url
from opentill.pix.service import check_key
from opentill.web import idempotency
from opentill.web.exchange import Answer
from opentill.web.idempotency import Claimed, Finished, Slot
from opentill.web.json_body import write
from opentill.web.routes import Operation

A = TypeVar("A")

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
    try:
        order, description, key, expires_in_s, city = _read(call)
    except Invalid as wrong_field:
        await _check_key_first(call, wrong_field)
        raise

    attempt = _Attempt(call)
    try:
        charge = await cash_in(
            call.dependencies.tools,
            order,
            merchant=call.by.merchant,
            description=description,
            expires_in_s=expires_in_s,
            key=key,
            city=city,
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


async def cancel(call: ExternalCall) -> Answer:
    """Remove a charge that was not paid; the bank is told first."""
    before = await answered_before(call)
    if before is not None:
        return before
    charge = await cancel_by_id(call.dependencies.tools, call.values["id"], owner=call.by.owner)

    def work(_tx: Tx) -> bytes:
        return call.written({"worked": True, "transaction_id": charge.id, "status": charge.state.value})

    return await once(call, 200, work)


class _Answered(Exception):  # noqa: N818 - the request was answered before
    def __init__(self, kept: Finished) -> None:
        self.kept = kept


class _Attempt:
    """What an idempotency key has to do with one attempt. Without a key, nothing."""

    def __init__(self, call: ExternalCall) -> None:
        self._call = call
        self._slot: Slot | None = call.slot
        self._claimed: Claimed | None = None

    def claim(self, tx: Tx, proposed: str, find: Callable[[Tx], A]) -> tuple[str, A]:
        """Take the key, and return the charge id an earlier attempt chose, or else the proposed one.

        What *find* finds with its one statement comes along.
        """
        if self._slot is None:
            return proposed, find(tx)
        claimed, found = idempotency.claim_and_find(
            tx, self._slot, find, chooses={"charge": proposed}, keyring=self._keyring, now=self._call.key_now
        )
        if isinstance(claimed, Finished):
            raise _Answered(claimed)
        self._claimed = claimed
        charge_id: str = claimed.chosen["charge"]
        return charge_id, found

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


def _read(call: ExternalCall) -> tuple[Order, str, str | None, int, str | None]:
    """Read the fields in the order of their table. Raises Invalid with the first fault."""
    fields = call.fields
    asked = amount(fields)
    description = text(fields, "description", characters_max=DESCRIPTION_MAX) or DESCRIPTION_DEFAULT
    reference = external_id(call)
    key = text(fields, "pix_key")
    city = _city(fields)
    expires_in_s = _expires_in(call)
    order = Order(
        amount=asked,
        order_id=reference,
        description=description,
        gateway=GATEWAY,
        gateway_fixed=True,
        expires_in_s=expires_in_s,
    )
    return order, description, key.strip() if key else None, expires_in_s, city


async def _check_key_first(call: ExternalCall, found: Invalid) -> None:
    """The key stands before these fields in the table, so a wrong one answers first. Raises Invalid."""
    key = call.fields.get("pix_key")
    if found.faults[0].field in ("city", "expires_in") and isinstance(key, str):
        owner = call.by.owner
        await call.dependencies.db.read(lambda tx: check_key(tx, key.strip(), owner=owner))


def _city(fields: Mapping[str, Any]) -> str | None:
    """Return the city as a code carries it; it is cut there."""
    value = text(fields, "city")
    if not value:
        return None
    try:
        return shown_text(value)
    except BadCode:
        raise wrong("city", "city is invalid") from None


def _expires_in(call: ExternalCall) -> int:
    value = call.fields.get("expires_in")
    if value is None:
        return call.dependencies.settings.pix_charge_ttl_seconds
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


OPERATIONS: Final = (
    Operation("POST", "/pix/cash-in", create, "payment:write", documents.CASH_IN),
    Operation("POST", "/pix/cash-in/{id}/cancel", cancel, "payment:write", documents.CANCEL),
)
