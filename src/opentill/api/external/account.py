"""GET /balance, GET /pix/keys and POST /cpf/validate (pix-api.md §13.5 to §13.7)."""

from typing import Final

from opentill.api.external import reading_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing
from opentill.api.external.fields import first_of
from opentill.api.external.once import once
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import iso_seconds
from opentill.ledger import AVAILABLE, HELD
from opentill.ledger.queries import balance
from opentill.payments.pix.queries import keys
from opentill.pix.documents import is_cpf
from opentill.pix.model import BRL
from opentill.web.exchange import Answer
from opentill.web.routes import Operation

CPF_FIELDS: Final = ("cpf", "document_number")
MASK: Final = str.maketrans("", "", ".-/ ")


async def show_balance(call: ExternalCall) -> Answer:
    """Show what the merchant may take out and what is held, of one moment."""
    owner = call.by.owner

    def read(tx: ReadTx) -> tuple[int, int]:
        available, held = (balance(tx, pot, BRL.code, owner=owner).units for pot in (AVAILABLE, HELD))
        return available, held

    available, held = await call.dependencies.db.read(read)
    return Answer(
        200,
        call.written(
            {
                "worked": True,
                "balance": available + held,
                "available": available,
                "pending": held,
                "currency": BRL.code,
            }
        ),
    )


async def list_keys(call: ExternalCall) -> Answer:
    """List the keys money can be sent to, oldest first."""
    owner = call.by.owner
    rows = await call.dependencies.db.read(lambda tx: keys(tx, owner=owner))
    shown = [
        {
            "key": row["key"],
            "key_type": row["key_type"],
            "status": row["status"],
            "created_at": iso_seconds(row["created_at"]),
        }
        for row in rows
    ]
    return Answer(200, call.written({"worked": True, "keys": shown}))


async def validate_cpf(call: ExternalCall) -> Answer:
    """Tell whether the check digits of a CPF fit. No registry is asked."""
    given = first_of(call.fields, CPF_FIELDS)
    if given is None:
        raise missing("cpf")
    bare = given.translate(MASK)
    valid = is_cpf(bare)
    formatted = f"{bare[:3]}.{bare[3:6]}.{bare[6:9]}-{bare[9:]}" if valid else None

    def work(_tx: Tx) -> bytes:
        return call.written({"worked": True, "valid": valid, "formatted": formatted})

    return await once(call, 200, work)


OPERATIONS: Final = (
    Operation("GET", "/balance", show_balance, "account:read", documents.BALANCE, counted=False),
    Operation("GET", "/pix/keys", list_keys, "account:read", documents.KEYS),
    Operation("POST", "/cpf/validate", validate_cpf, "account:read", documents.CPF, must_sign=False),
)
