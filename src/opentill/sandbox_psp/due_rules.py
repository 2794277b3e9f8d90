"""What a charge with a due date may ask for, in the violation texts of the Central Bank's document."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from opentill.pix.due import hundredths
from opentill.sandbox_psp import locations
from opentill.sandbox_psp.accounts import Account, owns
from opentill.sandbox_psp.charge_rules import REMOVED_BY_USER
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.problems import Violation

MESSAGE_MAX: Final = 140  # characters
DISCOUNTS_MAX: Final = 3
KINDS: Final = {"multa": range(1, 3), "juros": range(1, 9), "abatimento": range(1, 3)}

_TXID: Final = re.compile(r"[a-zA-Z0-9]{26,35}")
_AMOUNT: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{14}")


def put_violations(
    frame: Frame, account: Account, txid: str, body: Mapping[str, Any], created_on: date
) -> list[Violation]:
    """Return what is wrong with a whole charge."""
    if not _TXID.fullmatch(txid):
        return [_schema("cobv.txid")]
    value, calendar = body.get("valor"), body.get("calendario")
    found = [*_calendar(calendar, created_on), *_payer(body.get("devedor")), *_key(frame, account, body.get("chave"))]
    if "solicitacaoPagador" in body and not _is_text(body["solicitacaoPagador"], MESSAGE_MAX):
        found.append(_schema("solicitacaoPagador"))
    if "loc" in body:
        named = locations.violation(frame, account, "cobv", body["loc"], txid)
        found += [named] if named else []
    found += _amount(value)
    return found or _parts(value, calendar)  # type: ignore[arg-type]


def status_violations(body: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with a change that names a status."""
    if body["status"] != REMOVED_BY_USER:
        return [Violation("o campo `cob.status` não respeita o _schema_.", "cobv.status")]
    if len(body) > 1:
        reason = (
            "A cobrança está ATIVA, e a presente requisição propõe alterar seu status para "
            "_REMOVIDA_PELO_USUARIO_RECEBEDOR_ juntamente com outras alterações."
        )
        return [Violation(reason, "cobv.status")]
    return []


def _schema(member: str, kind: str = "O campo") -> Violation:
    return Violation(f"{kind} `{member}` não respeita o _schema_.", member)


def _calendar(value: Any, created_on: date) -> list[Violation]:
    member = "cobv.calendario.dataDeVencimento"
    due_on = _day(value.get(member.rpartition(".")[2])) if isinstance(value, dict) else None
    if due_on is None:
        return [_schema(member)]
    if due_on < created_on:
        return [Violation(f"O campo `{member}` é anterior à data de criação da cobrança.", member)]
    after, member = value.get("validadeAposVencimento", 30), "cobv.calendario.validadeAposVencimento"
    if type(after) is not int or after > 10_000:
        return [_schema(member)]
    return [Violation(f"O campo `{member}` é menor do que zero.", member)] if after < 0 else []


def _payer(value: Any) -> list[Violation]:
    bad = [_schema("cobv.devedor", "O objeto")]
    if not isinstance(value, dict) or not _is_text(value.get("nome"), 200):
        return bad
    cpf, cnpj = value.get("cpf"), value.get("cnpj")
    if (cpf is None) == (cnpj is None):
        return bad
    fits = _CPF.fullmatch(str(cpf)) if cnpj is None else _CNPJ.fullmatch(str(cnpj))
    return [] if fits else bad


def _key(frame: Frame, account: Account, value: Any) -> list[Violation]:
    if not _is_text(value, 77) or not value:
        return [_schema("cobv.chave")]
    if not owns(frame, account, value):
        reason = "O campo `cobv.chave` corresponde a uma conta que não pertence a este usuário recebedor."
        return [Violation(reason, "cobv.chave")]
    return []


def _amount(value: Any) -> list[Violation]:
    original = value.get("original") if isinstance(value, dict) else None
    if not isinstance(original, str) or not _AMOUNT.fullmatch(original):
        return [_schema("cobv.valor.original")]
    if not original.strip("0."):
        return [Violation("O campo `cobv.valor.original` apresenta o valor `zero`.", "cobv.valor.original")]
    return []


def _parts(value: Mapping[str, Any], calendar: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with fine, interest, rebate and discount of an amount that is right."""
    for name, kinds in KINDS.items():
        part = value.get(name)
        if part is not None and not (isinstance(part, dict) and part.get("modalidade") in kinds and _is_rate(part)):
            return [_schema(f"cobv.valor.{name}", "O objeto")]
    rebate, original = value.get("abatimento"), hundredths(value["original"])
    if rebate is not None and _too_much(rebate["modalidade"] == 1, rebate["valorPerc"], original):
        reason = "representa um valor maior ou igual ao valor da cobrança original ou maior ou igual a 100%."
        return [Violation(f"O objeto `cobv.valor.abatimento` {reason}", "cobv.valor.abatimento")]
    return _discount(value.get("desconto"), date.fromisoformat(calendar["dataDeVencimento"]), original)


def _discount(value: Any, due_on: date, original: int) -> list[Violation]:
    member = "cobv.valor.desconto"
    if value is None:
        return []
    if not isinstance(value, dict) or value.get("modalidade") not in range(1, 7):
        return [_schema(member, "O objeto")]
    dated, steps = value["modalidade"] in (1, 2), value.get("descontoDataFixa")
    if not dated:
        if steps is not None:
            return [_discounted("modalidade nos valores de `3` a `6`, porém o elemento `descontoDataFixa`", "")]
        if not _is_rate(value):
            return [_discounted("modalidade nos valores de `3` a `6`, porém o elemento `valorPerc` não", "")]
        steps = [{"valorPerc": value["valorPerc"]}]
    elif "valorPerc" in value:
        return [_discounted("modalidade no valor `1` ou `2`, porém `cobv.valor.desconto.valorPerc`", "")]
    if not isinstance(steps, list) or not 1 <= len(steps) <= DISCOUNTS_MAX or not all(map(_is_rate, steps)):
        return [_schema(member, "O objeto")]
    if any(_too_much(value["modalidade"] in (1, 3, 4), step["valorPerc"], original) for step in steps):
        reason = "que representa um valor maior ou igual ao valor da cobrança original ou maior ou igual a 100%."
        return [Violation(f"O objeto `{member}` apresenta algum elemento de desconto {reason}", member)]
    days = [_day(step.get("data")) for step in steps] if dated else []
    if None in days:
        return [_schema(member, "O objeto")]
    if any(day is not None and day > due_on for day in days):
        reason = "algum elemento cuja data seja posterior à data de vencimento."
        return [Violation(f"O objeto `{member}` apresenta {reason}", member)]
    return []


def _discounted(what: str, more: str) -> Violation:
    member = "cobv.valor.desconto"
    return Violation(f"O objeto `{member}` apresenta {what} encontra-se preenchido{more}.", member)


def _too_much(is_amount: bool, text: str, original: int) -> bool:
    return hundredths(text) >= (original if is_amount else 10_000)


def _is_rate(part: Any) -> bool:
    text = part.get("valorPerc") if isinstance(part, dict) else None
    return isinstance(text, str) and _AMOUNT.fullmatch(text) is not None


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) and len(text) == 10 else None
    except ValueError:
        return None


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest
