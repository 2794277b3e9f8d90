"""The document's JSON, rendered and read (pix-rail.md §6.4, §6.5). Its Portuguese stays in this folder."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from opentill.kernel.clock import SECOND, Instant, after, from_datetime
from opentill.pix import brcode
from opentill.pix.identifiers import payer_ispb
from opentill.pix.port import (
    ChargeRequest,
    ChargeState,
    Hint,
    HintKind,
    Page,
    Payer,
    ProviderCharge,
    ProviderReceipt,
    RawRequest,
    ReceiptPayer,
    UnreadableNotification,
)
from opentill.pix.providers.bacen.problems import read_object

REMOVE: Final = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
MESSAGE_MAX: Final = 140  # characters
INFO_MAX: Final = 50  # entries
INFO_NAME_MAX: Final = 50  # characters
INFO_VALUE_MAX: Final = 200  # characters

_AMOUNT: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
_REMOVED_BY_USER: Final = {"REMOVIDA_PELO_USUARIO_RECEBEDOR", "REMOVIDO_PELO_USUARIO_RECEBEDOR"}
_REMOVED_BY_BANK: Final = {"REMOVIDA_PELO_PSP", "REMOVIDO_PELO_PSP"}


class Malformed(ValueError):  # noqa: N818 - it says what the document is
    """A document that lacks what it must have, or has it in a form nobody documented."""


def amount_text(centavos: int) -> str:
    """Return centavos as the text a bank takes: `30.00`."""
    return f"{centavos // 100}.{centavos % 100:02}"


def centavos_of(value: object) -> int:
    """Return the centavos of an amount a bank wrote as text, integer or decimal number. No float on the way."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Malformed(f"{value!r} is not an amount")
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if not _AMOUNT.fullmatch(text):
        raise Malformed(f"{text[:20]!r} is not an amount of at most two decimals")
    whole, _, decimals = text.partition(".")
    return int(whole) * 100 + int(decimals.ljust(2, "0"))


def charge_body(request: ChargeRequest) -> dict[str, Any]:
    """Render the body of `PUT /cob/{txid}`. Texts are cut to the document's limits."""
    body: dict[str, Any] = {"calendario": {"expiracao": request.expires_in_s}}
    if request.payer is not None:
        body["devedor"] = _payer_body(request.payer)
    body |= {"valor": {"original": amount_text(request.amount_centavos)}, "chave": request.key}
    if request.message:
        body["solicitacaoPagador"] = request.message[:MESSAGE_MAX]
    if request.info:
        body["infoAdicionais"] = [
            {"nome": name[:INFO_NAME_MAX], "valor": value[:INFO_VALUE_MAX]} for name, value in request.info[:INFO_MAX]
        ]
    return body


def read_charge(document: Mapping[str, Any], *, now: Instant, code_members: Sequence[str]) -> ProviderCharge:
    """Read a charge. Raises `Malformed`."""
    calendar = _object(document, "calendario")
    created_at = read_instant(calendar.get("criacao"))
    expires_at = after(created_at, _whole_number(calendar.get("expiracao")) * SECOND)
    status = _text(document, "status")
    location = _location(document)
    return ProviderCharge(
        txid=_text(document, "txid"),
        state=_state(status, expires_at, now),
        provider_status=status,
        revision=_whole_number(document.get("revisao", 0)),
        amount_centavos=centavos_of(_object(document, "valor").get("original")),
        key=_text(document, "chave"),
        created_at=created_at,
        expires_at=expires_at,
        location=location,
        code=_code(document, location, code_members),
        receipts=tuple(read_receipt(item) for item in document.get("pix") or ()),
    )


def read_receipt(document: object) -> ProviderReceipt:
    """Read a receipt. Raises `Malformed`."""
    if not isinstance(document, dict):
        raise Malformed("a receipt is not an object")
    e2e_id = _text(document, "endToEndId")
    return ProviderReceipt(
        e2e_id=e2e_id,
        txid=_optional_text(document.get("txid")),
        amount_centavos=centavos_of(document.get("valor")),
        key=_optional_text(document.get("chave")),
        settled_at=read_instant(document.get("horario")),
        payer=_payer(document, e2e_id),
        message=_optional_text(document.get("infoPagador")),
    )


def read_hints(request: RawRequest) -> list[Hint]:
    """Read a notification. Items of kinds we do not know are passed over; they are stored raw anyway."""
    document = read_object(request.body)
    if document is None:
        raise UnreadableNotification("the body is not a JSON object")
    items = document.get("pix", [])
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list):
        raise UnreadableNotification("`pix` is neither a list nor an object")
    hints = [_hint(item) for item in items if isinstance(item, dict)]
    return list(dict.fromkeys(hint for hint in hints if hint is not None))


def read_instant(value: object) -> Instant:
    """Read a time of RFC 3339. One without an offset is UTC, as all times of the API are."""
    if not isinstance(value, str):
        raise Malformed(f"{value!r} is not a time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"{value[:40]!r} is not a time") from None
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def read_page(document: Mapping[str, Any], number: int) -> Page[ProviderReceipt]:
    """Read page *number* of a list of receipts. Raises `Malformed` where the list itself is unreadable."""
    paging = _object(_object(document, "parametros"), "paginacao")
    pages = _whole_number(paging.get("quantidadeDePaginas"))
    items: list[ProviderReceipt] = []
    unreadable = 0
    for item in document.get("pix") or ():
        try:
            items.append(read_receipt(item))
        except Malformed:
            unreadable += 1
    return Page(tuple(items), str(number + 1) if number + 1 < pages else None, unreadable)


def _payer_body(payer: Payer) -> dict[str, str]:
    member = "cpf" if len(payer.document) == 11 else "cnpj"
    return {member: payer.document, "nome": payer.name}


def _state(status: str, expires_at: Instant, now: Instant) -> ChargeState:
    """Return what a status means. The document has no word for expired: the clock decides."""
    past = now >= expires_at
    if status == "ATIVA":
        return ChargeState.EXPIRED if past else ChargeState.ACTIVE
    if status == "CONCLUIDA":
        return ChargeState.PAID
    if status in _REMOVED_BY_USER:
        return ChargeState.CANCELLED
    if status in _REMOVED_BY_BANK:
        return ChargeState.EXPIRED if past else ChargeState.CANCELLED
    return ChargeState.UNKNOWN


def _location(document: Mapping[str, Any]) -> str | None:
    bound = document.get("loc")
    inner = bound.get("location") if isinstance(bound, dict) else None
    return _optional_text(document.get("location")) or _optional_text(inner)


def _code(document: Mapping[str, Any], location: str | None, members: Sequence[str]) -> str | None:
    """Return the bank's code, once it is sure that it leads to the charge's location."""
    given = next((text for member in members if (text := _optional_text(document.get(member)))), None)
    if given is None:
        return None
    try:
        url = brcode.parse(given).url
    except brcode.BadCode as bad:
        raise Malformed(f"the code: {bad.message}") from None
    if location is not None and url != location:
        raise Malformed("the code names another location than the charge")
    return given.strip()


def _payer(document: Mapping[str, Any], e2e_id: str) -> ReceiptPayer:
    """Return who paid. The document does not say; some banks do, in one of two places."""
    extras = document.get("gnExtras")
    found = document.get("pagador") or (extras.get("pagador") if isinstance(extras, dict) else None)
    said = found if isinstance(found, dict) else {}
    return ReceiptPayer(
        name=_optional_text(said.get("nome")),
        document=_optional_text(said.get("cpf")) or _optional_text(said.get("cnpj")),
        ispb=_optional_text(said.get("ispb")) or payer_ispb(e2e_id),
        bank=_optional_text(said.get("banco")),
    )


def _hint(item: Mapping[str, Any]) -> Hint | None:
    e2e_id, txid = _optional_text(item.get("endToEndId")), _optional_text(item.get("txid"))
    if e2e_id is not None:
        return Hint(HintKind.RECEIPT, txid, e2e_id)
    return Hint(HintKind.CHARGE, txid, None) if txid is not None else None


def _object(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = document.get(member)
    if not isinstance(value, dict):
        raise Malformed(f"{member} is missing")
    return value


def _text(document: Mapping[str, Any], member: str) -> str:
    value = _optional_text(document.get(member))
    if value is None:
        raise Malformed(f"{member} is missing")
    return value


def _optional_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole_number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise Malformed(f"{text[:20]!r} is not a whole number")
    return int(text)
