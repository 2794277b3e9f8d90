"""The document's JSON, rendered and read (pix-rail.md §6.4, §6.5). Its Portuguese stays in this folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from opentill.kernel.calendar import day_ends
from opentill.kernel.clock import SECOND, Instant, after, from_datetime
from opentill.pix import brcode
from opentill.pix.due import Rate, Terms
from opentill.pix.identifiers import payer_ispb
from opentill.pix.port import (
    ChargeRequest,
    ChargeState,
    DueChargeRequest,
    Hint,
    HintKind,
    Nature,
    Page,
    Payer,
    ProviderCharge,
    ProviderReceipt,
    ProviderReturn,
    RawRequest,
    ReceiptPayer,
    ReturnState,
    UnreadableNotification,
)
from opentill.pix.providers.bacen.problems import read_object
from opentill.pix.rejections import ANYTHING_ELSE, in_text

REMOVE: Final = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
MESSAGE_MAX: Final = 140  # characters
INFO_MAX: Final = 50  # entries
INFO_NAME_MAX: Final = 50  # characters
INFO_VALUE_MAX: Final = 200  # characters
DAYS_AFTER_MAX: Final = 36_500  # a charge that may be paid for a century is one without an end
AMOUNT_DIGITS_MAX: Final = 20  # a number this long is no amount
NAME_MAX: Final = 100  # characters of an id; the document allows 35

_UNSTORABLE: Final = dict.fromkeys((0, *range(0xD800, 0xE000)))  # what JSON can say and no database can hold
_AMOUNT: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
_REMOVED_BY_USER: Final = {"REMOVIDA_PELO_USUARIO_RECEBEDOR", "REMOVIDO_PELO_USUARIO_RECEBEDOR"}
_REMOVED_BY_BANK: Final = {"REMOVIDA_PELO_PSP", "REMOVIDO_PELO_PSP"}
_RETURN_STATES: Final = {
    "EM_PROCESSAMENTO": ReturnState.PROCESSING,
    "DEVOLVIDO": ReturnState.COMPLETED,
    "NAO_REALIZADO": ReturnState.FAILED,
}
_NATURES: Final = {
    "ORIGINAL": Nature.ORDINARY,
    "RETIRADA": Nature.CASH,
    "MED_OPERACIONAL": Nature.MED_OPERATIONAL,
    "MED_FRAUDE": Nature.MED_FRAUD,
    "MED_PIX_AUTOMATICO": Nature.MED_AUTOMATIC,
}


class Malformed(ValueError):  # noqa: N818 - it says what the document is
    """A document that lacks what it must have, or has it in a form nobody documented."""


def amount_text(centavos: int) -> str:
    """Return centavos as the text a bank takes: `30.00`."""
    return f"{centavos // 100}.{centavos % 100:02}"


def centavos_of(value: object) -> int:
    """Return the centavos of an amount a bank wrote as text, integer or decimal number. No float on the way."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Malformed(f"{value!r} is not an amount")
    plain = isinstance(value, Decimal) and abs(value.adjusted()) < AMOUNT_DIGITS_MAX  # else it is long to write out
    text = f"{value:f}" if plain else str(value)
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
    return body | _texts(request.message, request.info)


def due_charge_body(request: DueChargeRequest) -> dict[str, Any]:
    """Render the body of `PUT /cobv/{txid}`. Texts are cut to the document's limits."""
    terms, payer = request.terms, _payer_body(request.payer)
    if request.address is not None:
        payer |= dict(zip(("logradouro", "cidade", "uf", "cep"), request.address, strict=True))
    parts = {"multa": terms.fine, "juros": terms.interest, "abatimento": terms.rebate, "desconto": terms.discount}
    body: dict[str, Any] = {
        "calendario": {"dataDeVencimento": terms.due_on.isoformat(), "validadeAposVencimento": terms.days_after},
        "devedor": payer,
        "valor": {"original": amount_text(terms.original)}
        | {name: _rate_body(rate) for name, rate in parts.items() if rate is not None},
        "chave": request.key,
    }
    return body | _texts(request.message, request.info)


def read_due_charge(document: Mapping[str, Any], *, now: Instant, code_members: Sequence[str]) -> ProviderCharge:
    """Read a charge with a due date. It expires with the last day on which it may be paid. Raises `Malformed`."""
    calendar, value = _object(document, "calendario"), _object(document, "valor")
    amount = centavos_of(value.get("original"))
    try:
        due_on = date.fromisoformat(str(calendar.get("dataDeVencimento")))
    except ValueError:
        raise Malformed("dataDeVencimento is not a date") from None
    days_after = _whole_number(calendar.get("validadeAposVencimento", 30))
    expires_at = day_ends(Terms(amount, due_on, min(days_after, DAYS_AFTER_MAX)).last_day)
    created_at = read_instant(calendar.get("criacao"))
    return _charge(document, amount, created_at, expires_at, now=now, code_members=code_members)


def read_charge(document: Mapping[str, Any], *, now: Instant, code_members: Sequence[str]) -> ProviderCharge:
    """Read a charge. Raises `Malformed`."""
    calendar = _object(document, "calendario")
    created_at = read_instant(calendar.get("criacao"))
    expires_at = after(created_at, _whole_number(calendar.get("expiracao")) * SECOND)
    amount = centavos_of(_object(document, "valor").get("original"))
    return _charge(document, amount, created_at, expires_at, now=now, code_members=code_members)


def _charge(
    document: Mapping[str, Any],
    amount_centavos: int,
    created_at: Instant,
    expires_at: Instant,
    *,
    now: Instant,
    code_members: Sequence[str],
) -> ProviderCharge:
    """Return what both kinds of charges have alike."""
    status = _text(document, "status")
    location = _location(document)
    txid = _text(document, "txid")
    return ProviderCharge(
        txid=txid,
        state=_state(status, expires_at, now),
        provider_status=status,
        revision=_whole_number(document.get("revisao", 0)),
        amount_centavos=amount_centavos,
        key=_text(document, "chave"),
        created_at=created_at,
        expires_at=expires_at,
        location=location,
        code=_code(document, location, code_members),
        receipts=tuple(_of_charge(read_receipt(item), txid) for item in _items(document)),
    )


def read_receipt(document: object) -> ProviderReceipt:
    """Read a receipt. Raises `Malformed`."""
    if not isinstance(document, dict):
        raise Malformed("a receipt is not an object")
    e2e_id, amount = _name(document.get("endToEndId")), centavos_of(document.get("valor"))
    if e2e_id is None or not amount:
        raise Malformed("a receipt without a name, or of nothing")
    return ProviderReceipt(
        e2e_id=e2e_id,
        txid=_name(document.get("txid")),
        amount_centavos=amount,
        key=_optional_text(document.get("chave")),
        settled_at=read_instant(document.get("horario")),
        payer=_payer(document, e2e_id),
        message=_optional_text(document.get("infoPagador")),
        returns=tuple(read_return(item) for item in _listed(document, "devolucoes")),
    )


def return_body(amount_centavos: int, text: str) -> dict[str, Any]:
    """Render the body of `PUT /pix/{e2eid}/devolucao/{id}`. Only ordinary returns are ever asked for."""
    return {"valor": amount_text(amount_centavos), "natureza": "ORIGINAL", "descricao": text[:MESSAGE_MAX]}


def read_return(document: object) -> ProviderReturn:
    """Read a return. Raises `Malformed`."""
    if not isinstance(document, dict):
        raise Malformed("a return is not an object")
    ref, amount = _name(document.get("id")), centavos_of(document.get("valor"))
    if ref is None or not amount:
        raise Malformed("a return without a name, or of nothing")
    state = _RETURN_STATES.get(str(document.get("status")), ReturnState.UNKNOWN)
    times = document.get("horario")
    times = times if isinstance(times, dict) else {}
    reason = _optional_text(document.get("motivo"))
    why = (in_text(reason) or ANYTHING_ELSE) if state is ReturnState.FAILED else None
    return ProviderReturn(
        ref=ref,
        return_id=_name(document.get("rtrId")),
        amount_centavos=amount,
        state=state,
        nature=_NATURES.get(str(document.get("natureza", "ORIGINAL")), Nature.UNKNOWN),
        text=_optional_text(document.get("descricao")),
        reason=reason,
        rail_code=why.code if why else None,
        code=why.reason if why else None,
        requested_at=_optional_instant(times.get("solicitacao")),
        settled_at=_optional_instant(times.get("liquidacao")),
    )


def read_hints(request: RawRequest) -> list[Hint]:
    """Read a notification. Items of kinds we do not know are passed over; they are stored raw anyway."""
    document = read_object(request.body)
    if document is None:
        raise UnreadableNotification("the body is not a JSON object")
    try:
        items = _items(document)
    except Malformed as malformed:
        raise UnreadableNotification(str(malformed)) from None
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
    for item in _items(document):
        try:
            items.append(read_receipt(item))
        except Malformed:
            unreadable += 1
    return Page(tuple(items), str(number + 1) if number + 1 < pages else None, unreadable)


def _items(document: Mapping[str, Any]) -> Sequence[object]:
    return _listed(document, "pix")


def _listed(document: Mapping[str, Any], member: str) -> Sequence[object]:
    """Return the items of a member: a list, or one alone, as some banks write it."""
    items = document.get(member) or ()
    if isinstance(items, dict):
        return (items,)
    if not isinstance(items, list | tuple):
        raise Malformed(f"`{member}` is neither a list nor an object")
    return items


def _of_charge(receipt: ProviderReceipt, txid: str) -> ProviderReceipt:
    """Return a receipt that a bank lists in a charge. It is the charge's, whether it says so itself or not."""
    return replace(receipt, txid=txid)


def _texts(message: str | None, info: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what a charge says to its payer, as far as it says anything."""
    texts: dict[str, Any] = {}
    if message:
        texts["solicitacaoPagador"] = message[:MESSAGE_MAX]
    if info:
        texts["infoAdicionais"] = [
            {"nome": name[:INFO_NAME_MAX], "valor": value[:INFO_VALUE_MAX]} for name, value in info[:INFO_MAX]
        ]
    return texts


def _rate_body(rate: Rate) -> dict[str, Any]:
    """Render fine, interest, rebate or discount; a discount until dates has its values with them."""
    if rate.until:
        steps = [{"data": day.isoformat(), "valorPerc": amount_text(value)} for day, value in rate.until]
        return {"modalidade": rate.kind, "descontoDataFixa": steps}
    return {"modalidade": rate.kind, "valorPerc": amount_text(rate.value)}


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
    """Return what an item asks us to read. One with returns is about them: the payment was told of before."""
    e2e_id, txid = _name(item.get("endToEndId")), _name(item.get("txid"))
    if e2e_id is not None:
        kind = HintKind.RETURN if item.get("devolucoes") else HintKind.RECEIPT
        return Hint(kind, txid, e2e_id)
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
    return (value.translate(_UNSTORABLE) or None) if isinstance(value, str) else None


def _optional_instant(value: object) -> Instant | None:
    return None if value is None else read_instant(value)


def _name(value: object) -> str | None:
    """Return an id as it was received, None where it cannot be one."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME_MAX:
        return None
    return value if value.isascii() and value.isprintable() else None


def _whole_number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise Malformed(f"{text[:20]!r} is not a whole number")
    return int(text)
