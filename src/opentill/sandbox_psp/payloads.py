"""What a payer's bank fetches: the charge behind a location, signed (pix-rail.md §11.3)."""

from datetime import date
from typing import Any

from opentill.kernel.calendar import day_of
from opentill.sandbox_psp import due_charges, locations, quirks
from opentill.sandbox_psp.charges import asked_of
from opentill.sandbox_psp.frame import Frame, shown_at
from opentill.sandbox_psp.http import Answer, Request
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.signing import SigningKey, sign
from opentill.sandbox_psp.store import Row


def payload(frame: Frame, signing: SigningKey, request: Request) -> Answer:
    """`GET /qr/v2/{token}`, `GET /qr/v2/cobv/{token}`: the charge as a compact JWS. Paid and removed ones are gone."""
    charge = locations.charge_at(frame, request.parts[-1])
    if charge is None:
        raise Problem("CobPayloadNaoEncontrado")
    if charge["status"] != "ATIVA":
        raise Problem("CobPayloadNaoEncontrado", status=410)
    document = _due_document(frame, charge, request) if charge["kind"] == "cobv" else _document(frame, charge)
    if "strings_in_jws" in quirks.chosen(frame):
        document = quirks.as_texts(document)
    return Answer(200, sign(frame, signing, document), "application/jose")


def _document(frame: Frame, charge: Row) -> dict[str, Any]:
    value, kept = asked_of(charge)
    return {
        "calendario": {
            "criacao": shown_at(charge["created_at"]),
            "apresentacao": shown_at(frame.now()),
            "expiracao": charge["expires_in_s"],
        },
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "status": charge["status"],
        "valor": value,
        "chave": charge["key"],
        **kept,
    }


def _due_document(frame: Frame, charge: Row, request: Request) -> dict[str, Any]:
    """Return a charge with a due date for the day its payer means to pay, today unless told."""
    text = request.query.get("DPP", day_of(frame.now()).isoformat())
    try:
        on = date.fromisoformat(text)
    except ValueError:
        raise Problem("CobPayloadOperacaoInvalida") from None
    return due_charges.payload(frame, charge, on)
