"""What a charge may ask for, in the violation texts of the Central Bank's document."""

import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.sandbox_psp import locations
from opentill.sandbox_psp.accounts import Account, owns
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.problems import Violation

REMOVED_BY_USER: Final = "REMOVIDA_PELO_USUARIO_RECEBEDOR"
LIFETIME_DEFAULT_S: Final = 86_400
LIFETIME_MAX_S: Final = 2**31 - 1
KEY_MAX: Final = 77  # characters
PAYER_NAME_MAX: Final = 200  # characters
MESSAGE_MAX: Final = 140  # characters
INFO_MAX: Final = 50  # entries
INFO_NAME_MAX: Final = 50  # characters
INFO_VALUE_MAX: Final = 200  # characters

TXID_BAD: Final = Violation("O campo `cob.txid` não respeita o _schema_.", "cob.txid")
TXID_TAKEN: Final = Violation("O campo `cob.txid` encontra-se em uso.", "cob.txid")
NOT_ACTIVE_PUT: Final = Violation(
    "A cobrança já existe, não está no status ATIVA, e a presente requisição busca alterá-la.", "cob.status"
)
NOT_ACTIVE_PATCH: Final = Violation("A cobrança não está ATIVA, e a presente requisição busca alterá-la.", "cob.status")

_AMOUNT: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{14}")


def put_violations(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with a whole charge."""
    required: dict[str, Any] = {"valor": {}, "chave": None}
    return _member_violations(frame, account, txid, required | dict(body))


def patch_violations(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with a change."""
    if "status" not in body:
        partial = {"valor": {"original": "1.00"} | body["valor"]} if isinstance(body.get("valor"), dict) else {}
        return _member_violations(frame, account, txid, dict(body) | partial)
    if body["status"] != REMOVED_BY_USER:
        return [Violation("o campo `cob.status` não respeita o _schema_.", "cob.status")]
    if len(body) > 1:
        reason = (
            "A cobrança está ATIVA, e a presente requisição propõe alterar seu status para "
            "_REMOVIDA_PELO_USUARIO_RECEBEDOR_ juntamente com outras alterações."
        )
        return [Violation(reason, "cob.status")]
    return []


def _member_violations(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> list[Violation]:
    found = [_JUDGES[name](value) for name, value in body.items() if name in _JUDGES]
    if "chave" in body:
        found.append(_key(frame, account, body["chave"]))
    if "loc" in body:
        found.append(locations.violation(frame, account, "cob", body["loc"], txid))
    return [violation for violation in found if violation is not None]


def _schema(member: str, kind: str = "O campo") -> Violation:
    return Violation(f"{kind} `{member}` não respeita o _schema_.", member)


def _calendar(value: Any) -> Violation | None:
    lifetime = value.get("expiracao", LIFETIME_DEFAULT_S) if isinstance(value, dict) else None
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime > LIFETIME_MAX_S:
        return _schema("cob.calendario.expiracao")
    if lifetime <= 0:
        return Violation("O campo `cob.calendario.expiracao` é igual ou menor que `zero`.", "cob.calendario.expiracao")
    return None


def _amount(value: Any) -> Violation | None:
    original = value.get("original") if isinstance(value, dict) else None
    if not isinstance(original, str) or not _AMOUNT.fullmatch(original):
        return _schema("cob.valor.original")
    if not original.strip("0."):
        return Violation("O campo `cob.valor.original` é `zero`.", "cob.valor.original")
    if value.get("modalidadeAlteracao", 0) not in (0, 1):
        return _schema("cob.valor.modalidadeAlteracao")
    return None


def _payer(value: Any) -> Violation | None:
    bad = _schema("cob.devedor", "O objeto")
    if not isinstance(value, dict) or not _is_text(value.get("nome"), PAYER_NAME_MAX):
        return bad
    cpf, cnpj = value.get("cpf"), value.get("cnpj")
    if cnpj is None:
        return None if isinstance(cpf, str) and _CPF.fullmatch(cpf) else bad
    return None if cpf is None and isinstance(cnpj, str) and _CNPJ.fullmatch(cnpj) else bad


def _message(value: Any) -> Violation | None:
    return None if _is_text(value, MESSAGE_MAX) else _schema("cob.solicitacaoPagador")


def _info(value: Any) -> Violation | None:
    fits = (
        isinstance(value, list)
        and len(value) <= INFO_MAX
        and all(
            isinstance(entry, dict)
            and _is_text(entry.get("nome"), INFO_NAME_MAX)
            and _is_text(entry.get("valor"), INFO_VALUE_MAX)
            for entry in value
        )
    )
    return None if fits else _schema("cob.infoAdicionais", "O objeto")


def _key(frame: Frame, account: Account, value: Any) -> Violation | None:
    if not isinstance(value, str) or not 1 <= len(value) <= KEY_MAX:
        return _schema("cob.chave")
    if not owns(frame, account, value):
        reason = "O campo `cob.chave` corresponde a uma conta que não pertence a este usuário recebedor."
        return Violation(reason, "cob.chave")
    return None


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


_JUDGES: Final = {
    "calendario": _calendar,
    "devedor": _payer,
    "valor": _amount,
    "solicitacaoPagador": _message,
    "infoAdicionais": _info,
}
