"""Reading what moved: /transactions, /statement and proofs of payment (pix-api.md §13.1 to §13.4)."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from opentill.api.external import reading_documents as documents
from opentill.api.external.amounts import reais
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import wrong
from opentill.api.external.key_case import snake
from opentill.db import ReadTx, Row
from opentill.kernel.calendar import day_begins, day_ends
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import NotFound, Refused
from opentill.kernel.owner import Owner
from opentill.payments.pix import queries
from opentill.payments.pix.queries import Filters
from opentill.pix.identifiers import charge_id_of
from opentill.web.exchange import Answer
from opentill.web.routes import Operation

PER_PAGE: Final = 20
PER_PAGE_MAX: Final = 100
PAGE_MAX: Final = 999_999_999
WHOLE_FORM: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
DAY_FORM: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TAG_FORM: Final = re.compile(r"[A-Za-z0-9]{3,35}", re.ASCII)
UUID_FORM: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII)
TYPES: Final = ("pix", "ted", "internal")
DIRECTIONS: Final = ("inbound", "outbound")
IN_FLIGHT: Final = frozenset({"pending", "processing", "queued", "pending_approval"})
# Both vocabularies of statuses, and what they mean here.
STATUSES: Final[Mapping[str, frozenset[str]]] = {
    "completed": frozenset({"completed"}),
    "settled": frozenset({"completed"}),
    "failed": frozenset({"failed"}),
    "rejected": frozenset({"failed"}),
    "pending": IN_FLIGHT,
    "processing": IN_FLIGHT,
    **{
        name: frozenset({name}) for name in ("active", "expired", "cancelled", "returned", "queued", "pending_approval")
    },
}
UNKNOWN: Final = "Transaction not found"
UNKNOWN_RAIL_ID: Final = "Transacao nao encontrada para o E2E ID informado"


async def index(call: ExternalCall) -> Answer:
    """List every movement and charge, newest first."""
    return await _listed(call, moved=False)


async def statement(call: ExternalCall) -> Answer:
    """List movements of money: what was never paid is not among them."""
    return await _listed(call, moved=True)


async def show(call: ExternalCall) -> Answer:
    """Show one by any of its ids."""
    row = await _found(call, lambda tx, owner: _by_id(tx, call.values["id"], owner))
    return Answer(200, call.written({"worked": True, "data": _row(row)}))


async def by_rail_id(call: ExternalCall) -> Answer:
    """Show the one with an end-to-end id or return id. Case counts."""
    wanted = call.values["e2e_id"]
    row = await _found(call, lambda tx, owner: queries.find_rail_id(tx, wanted, owner=owner), UNKNOWN_RAIL_ID)
    return Answer(200, call.written({"worked": True, "data": _row(row)}))


async def by_reference(call: ExternalCall) -> Answer:
    """Show the newest with the merchant's own id."""
    wanted = call.values["external_id"]
    row = await _found(call, lambda tx, owner: queries.find_external_id(tx, wanted, owner=owner))
    return Answer(200, call.written({"worked": True, "data": _row(row)}))


async def by_tag(call: ExternalCall) -> Answer:
    """List those whose id begins with a text."""
    tag, owner = call.values["tag"], call.by.owner
    if not TAG_FORM.fullmatch(tag):
        raise wrong("tag", "tag is invalid")
    rows = await call.dependencies.db.read(lambda tx: queries.tagged(tx, tag, owner=owner))
    return Answer(200, call.written({"worked": True, "data": [_row(row) for row in rows]}))


async def proof(call: ExternalCall) -> Answer:
    """Show the proof of a payment that was made."""
    row = await _found(call, lambda tx, owner: _by_id(tx, call.values["id"], owner))
    if row["status"] not in ("completed", "returned"):
        raise Refused("NOT_COMPLETED", "Receipt is available only for completed transactions")
    owner = call.by.owner
    bank = await call.dependencies.db.read(lambda tx: queries.institution(tx, row["account_id"], owner=owner))
    return Answer(200, call.written({"worked": True, "receipt": _proof(row, bank)}))


def page_of(call: ExternalCall) -> tuple[Mapping[str, str], int, int]:
    """Return the query, with its names in snake_case, and which page of what size it asks for. Raises Invalid."""
    asked: Mapping[str, str] = snake(call.query()) if call.camel else call.query()
    return asked, _whole(asked, "page", 1, PAGE_MAX), _whole(asked, "per_page", PER_PAGE, PER_PAGE_MAX)


async def _listed(call: ExternalCall, *, moved: bool) -> Answer:
    asked, number, per_page = page_of(call)
    statuses = _word(asked, "status", tuple(STATUSES))
    kind = _word(asked, "type", TYPES)
    filters = Filters(
        statuses=STATUSES[statuses] if statuses else None,
        since=_day(asked, "date_from", day_begins),
        before=_day(asked, "date_to", day_ends),
        direction=None if moved else _word(asked, "direction", DIRECTIONS),
        external_id=None if moved else asked.get("external_id") or None,
        moved=moved,
    )
    owner, offset = call.by.owner, (number - 1) * per_page
    rows = await call.dependencies.db.read(
        lambda tx: (
            queries.page(tx, filters, owner=owner, offset=offset, limit=per_page) if kind in (None, "pix") else []
        )
    )
    return Answer(
        200, call.written({"worked": True, "data": [_row(row) for row in rows], "page": number, "per_page": per_page})
    )


async def _found(call: ExternalCall, find: Callable[[ReadTx, Owner], Row | None], unknown: str = UNKNOWN) -> Row:
    owner = call.by.owner
    row = await call.dependencies.db.read(lambda tx: find(tx, owner))
    if row is None:
        raise NotFound("TRANSACTION_NOT_FOUND", unknown)
    return row


def _by_id(tx: ReadTx, ref: str, owner: Owner) -> Row | None:
    """Find by any form of an id: ours, the bank's name of a charge, or a row's UUID with or without hyphens."""
    lowered = ref.lower()
    if UUID_FORM.fullmatch(lowered):
        bare = lowered.replace("-", "")
        found = queries.find_uuid(tx, f"{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}", owner=owner)
        if found is not None:
            return found
    return queries.find(tx, charge_id_of(ref) or ref, owner=owner)


def _whole(asked: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    value = asked.get(name)
    if not value:
        return otherwise
    if not WHOLE_FORM.fullmatch(value) or int(value) > most:
        raise wrong(name, f"{name} is invalid")
    return int(value)


def _word(asked: Mapping[str, str], name: str, words: tuple[str, ...]) -> str | None:
    value = asked.get(name)
    if not value:
        return None
    if value not in words:
        raise wrong(name, f"{name} is invalid")
    return value


def _day(asked: Mapping[str, str], name: str, edge: Callable[[date], Instant]) -> Instant | None:
    """Return an edge of a day of São Paulo."""
    value = asked.get(name)
    if not value:
        return None
    matched = DAY_FORM.fullmatch(value)
    try:
        return edge(date.fromisoformat(matched[0] if matched else ""))
    except (ValueError, OverflowError):
        raise wrong(name, f"{name} is invalid") from None


def _row(row: Row) -> dict[str, Any]:
    outbound = row["direction"] == "outbound"
    fee = row["fee_units"]
    return {
        "id": row["uuid"],
        "transaction_id": row["transaction_id"],
        "end_to_end_id": row["end_to_end_id"],
        "external_id": row["external_id"],
        "type": "pix",
        "direction": row["direction"],
        "status": row["status"],
        "amount": row["units"],
        "fee_amount": fee,
        "net_amount": row["units"] + fee if outbound else row["units"] - fee,
        "description": row["description"],
        "counterparty_name": row["counterparty_name"],
        **({"recipient_key": row["recipient_key"]} if outbound else {}),
        "payer_document": row["payer_document"],
        "recipient_document": row["recipient_document"],
        "payer_ispb": row["payer_ispb"],
        "payer_bank_name": row["payer_bank_name"],
        "original_transaction_id": row["original_transaction_id"],
        "created_at": iso_seconds(row["created_at"]),
        "completed_at": _time(row["completed_at"]),
    }


def _proof(row: Row, bank: Row | None) -> dict[str, Any]:
    shown = _row(row)
    fee = row["fee_units"]
    return {
        **{name: shown[name] for name in ("transaction_id", "end_to_end_id", "external_id", "type", "direction")},
        "status": row["status"],
        "amount": row["units"],
        "amount_formatted": reais(row["units"], decimals=2),
        "fee_amount": fee,
        "fee_formatted": reais(fee, decimals=3),
        "net_amount": shown["net_amount"],
        "description": row["description"],
        "counterparty_name": row["counterparty_name"],
        "recipient_key": row["recipient_key"],
        "created_at": shown["created_at"],
        "completed_at": shown["completed_at"],
        "institution": {
            "name": bank["bank_name"] if bank else None,
            "cnpj": _cnpj(bank["bank_document"]) if bank else None,
            "ispb": bank["bank_ispb"] if bank else None,
        },
    }


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else iso_seconds(instant)


def _cnpj(bare: str | None) -> str | None:
    return f"{bare[:2]}.{bare[2:5]}.{bare[5:8]}/{bare[8:12]}-{bare[12:]}" if bare else None


OPERATIONS: Final = (
    Operation("GET", "/transactions", index, "payment:read", documents.TRANSACTIONS),
    Operation("GET", "/transactions/e2e/{e2e_id}", by_rail_id, "payment:read", documents.BY_RAIL_ID),
    Operation("GET", "/transactions/tag/{tag}", by_tag, "payment:read", documents.BY_TAG),
    Operation("GET", "/transactions/ref/{external_id}", by_reference, "payment:read", documents.BY_REFERENCE),
    Operation("GET", "/transactions/{id}", show, "payment:read", documents.SHOW),
    Operation("GET", "/transactions/{id}/receipt", proof, "payment:read", documents.PROOF),
    Operation("GET", "/statement", statement, "account:read", documents.STATEMENT),
)
