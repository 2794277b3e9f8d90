"""The sandbox bank's own JSON for what it sends, rendered and read (pix-rail.md §11.5)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentill.pix.port import (
    DecodedCode,
    Evidence,
    Hint,
    HintKind,
    InfractionState,
    Page,
    PayoutRequest,
    PayoutReturn,
    PayoutState,
    ProviderBalance,
    ProviderInfraction,
    ProviderPayout,
    RawRequest,
    Recipient,
    Refused,
    StatementLine,
    ToAccount,
    ToCode,
    ToKey,
    UnreadableNotification,
)
from opentill.pix.providers.bacen.problems import read_object
from opentill.pix.providers.bacen.wire import Malformed, amount_text, centavos_of, read_instant
from opentill.pix.rejections import ANYTHING_ELSE, BY_CODE

TEXT_MAX: Final = 140  # characters

_STATES: Final = {
    "EM_PROCESSAMENTO": PayoutState.PROCESSING,
    "RETIDO": PayoutState.HELD,
    "REALIZADO": PayoutState.COMPLETED,
    "NAO_REALIZADO": PayoutState.FAILED,
}
_INFRACTION_STATES: Final = {
    "ABERTA": InfractionState.OPEN,
    "EM_DEFESA": InfractionState.DEFENDED,
    "ACEITA": InfractionState.ACCEPTED,
    "REJEITADA": InfractionState.REJECTED,
    "CANCELADA": InfractionState.CANCELLED,
}
_REASONS: Final = {"FRAUDE": "FRAUD", "FALHA_OPERACIONAL": "OPERATIONAL_FLAW"}
_KINDS: Final = {"SOLICITACAO_DEVOLUCAO": "REFUND_REQUEST", "CANCELAMENTO_DEVOLUCAO": "REFUND_CANCELLED"}


def payout_body(request: PayoutRequest) -> dict[str, Any]:
    """Render the body of `PUT /envio/v1/pix/{ref}`. Raises `Refused` for a target this bank has no form for."""
    body: dict[str, Any] = {"valor": amount_text(request.amount_centavos)}
    match request.target:
        case ToKey(key):
            body["chave"] = key
        case ToCode(code):
            body["pixCopiaECola"] = code
        case ToAccount():
            raise Refused("not_supported", "this bank pays keys and codes only")
    if request.text:
        body["descricao"] = request.text[:TEXT_MAX]
    if request.e2e_id:
        body["endToEndId"] = request.e2e_id
    return body


def read_payout(document: Mapping[str, Any]) -> ProviderPayout:
    """Read a payout. Raises `Malformed`."""
    ref, status = document.get("ref"), str(document.get("status"))
    amount = centavos_of(document.get("valor"))
    if not isinstance(ref, str) or not amount:
        raise Malformed("a payout without a reference, or of nothing")
    state = _STATES.get(status, PayoutState.UNKNOWN)
    rail_code = document.get("codigo") if state is PayoutState.FAILED else None
    payee, times = _object(document, "favorecido"), _object(document, "horario")
    settled = times.get("liquidacao")
    return ProviderPayout(
        ref=ref,
        provider_ref=ref,
        e2e_id=_text(document.get("endToEndId")),
        state=state,
        provider_status=status,
        amount_centavos=amount,
        code=BY_CODE.get(str(rail_code), ANYTHING_ELSE).reason if state is PayoutState.FAILED else None,
        rail_code=_text(rail_code),
        detail=_text(document.get("motivo")),
        recipient=Recipient(_text(payee.get("nome")), _text(payee.get("documento"))),
        settled_at=None if settled is None else read_instant(settled),
        returns=tuple(_return(item) for item in _list(document, "devolucoes")),
    )


def read_decoded(document: Mapping[str, Any]) -> DecodedCode:
    """Read what a code asks for; the bank refuses one that cannot be paid. Raises `Malformed`."""
    key, payee = _text(document.get("chave")), _object(document, "favorecido")
    amount = document.get("valor")
    if key is None:
        raise Malformed("a code without a key")
    return DecodedCode(
        key=key,
        amount_centavos=None if amount is None else centavos_of(amount),
        changeable=amount is None or document.get("alteravel") is True,
        payable=True,
        txid=_text(document.get("txid")),
        recipient=Recipient(_text(payee.get("nome")), _text(payee.get("documento"))),
    )


def read_balance(document: Mapping[str, Any]) -> ProviderBalance:
    """Read a balance. Raises `Malformed`."""
    return ProviderBalance(_signed(document.get("saldo")), _signed(document.get("bloqueado", "0.00")))


def read_statement(document: Mapping[str, Any], number: int) -> Page[StatementLine]:
    """Read page *number* of a day's movements. Raises `Malformed`."""
    return Page(tuple(_line(item) for item in _list(document, "movimentos")), _cursor(document, number))


def read_infractions(document: Mapping[str, Any], number: int) -> Page[ProviderInfraction]:
    """Read page *number* of a list of infractions. Raises `Malformed`."""
    return Page(tuple(read_infraction(item) for item in _list(document, "infracoes")), _cursor(document, number))


def read_infraction(document: Mapping[str, Any]) -> ProviderInfraction:
    """Read a contest. Raises `Malformed`."""
    ref, e2e_id = document.get("id"), document.get("endToEndId")
    if not isinstance(ref, str) or not isinstance(e2e_id, str):
        raise Malformed("a contest without a name")
    status, reason, kind = (str(document.get(name)) for name in ("status", "motivo", "tipo"))
    deadline, resolved = document.get("prazoDefesa"), document.get("encerramento")
    return ProviderInfraction(
        ref=ref,
        e2e_id=e2e_id,
        state=_INFRACTION_STATES.get(status, InfractionState.UNKNOWN),
        provider_status=status,
        kind=_KINDS.get(kind, kind),
        amount_centavos=centavos_of(document.get("valor")),
        reason=_REASONS.get(reason, reason),
        opened_at=read_instant(document.get("criacao")),
        defense_deadline_at=None if deadline is None else read_instant(deadline),
        counterpart_ispb=_text(document.get("ispbContraparte")),
        resolved_at=None if resolved is None else read_instant(resolved),
    )


def defence_body(text: str, evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Render the body of a defence."""
    shown = [
        {"tipo": item.type, "url": item.url, "descricao": item.description, "origem": item.source} for item in evidence
    ]
    return {"texto": text, "evidencias": [{name: it for name, it in item.items() if it is not None} for item in shown]}


def read_hints(request: RawRequest) -> list[Hint]:
    """Read a notification about payouts and infractions. Raises `UnreadableNotification`."""
    document = read_object(request.body)
    if document is None:
        raise UnreadableNotification("the body is not a JSON object")
    try:
        payouts, infractions = _list(document, "envios"), _list(document, "infracoes")
    except Malformed as malformed:
        raise UnreadableNotification(str(malformed)) from None
    found = [_payout_hint(item) for item in payouts] + [_infraction_hint(item) for item in infractions]
    return list(dict.fromkeys(hint for hint in found if hint is not None))


def _payout_hint(item: Mapping[str, Any]) -> Hint | None:
    ref = _text(item.get("ref"))
    return Hint(HintKind.PAYOUT, None, _text(item.get("endToEndId")), ref) if ref else None


def _infraction_hint(item: Mapping[str, Any]) -> Hint | None:
    ref = _text(item.get("id"))
    return Hint(HintKind.INFRACTION, None, _text(item.get("endToEndId")), ref) if ref else None


def _return(item: Mapping[str, Any]) -> PayoutReturn:
    return_id = item.get("rtrId")
    if not isinstance(return_id, str):
        raise Malformed("a return without a name")
    return PayoutReturn(
        return_id=return_id,
        amount_centavos=centavos_of(item.get("valor")),
        reason=_text(item.get("motivo")),
        returned_at=read_instant(item.get("horario")),
    )


def _line(item: Mapping[str, Any]) -> StatementLine:
    return StatementLine(
        line_id=str(item.get("id")),
        at=read_instant(item.get("horario")),
        amount_centavos=_signed(item.get("valor")),
        e2e_id=_text(item.get("endToEndId")),
        ref=_text(item.get("ref")),
        text=_text(item.get("tipo")),
    )


def _signed(value: object) -> int:
    text = str(value)
    return -centavos_of(text[1:]) if text.startswith("-") else centavos_of(text)


def _cursor(document: Mapping[str, Any], number: int) -> str | None:
    paging = _object(_object(document, "parametros"), "paginacao")
    pages = paging.get("quantidadeDePaginas")
    if not isinstance(pages, int):
        raise Malformed("a list without a number of pages")
    return str(number + 1) if number + 1 < pages else None


def _list(document: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    items = document.get(member) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Malformed(f"`{member}` is not a list of objects")
    return items


def _object(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = document.get(member)
    if not isinstance(value, dict):
        raise Malformed(f"{member} is missing")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
