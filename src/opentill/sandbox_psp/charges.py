"""Immediate charges: `cob` (pix-rail.md §11.2)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.sandbox_psp import charge_books as books
from opentill.sandbox_psp import locations, magic, quirks
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.charge_rules import (
    LIFETIME_DEFAULT_S,
    NOT_ACTIVE_PATCH,
    NOT_ACTIVE_PUT,
    TXID_BAD,
    TXID_TAKEN,
    patch_violations,
    put_violations,
)
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row

_TXID: Final = re.compile(r"[a-zA-Z0-9]{26,35}")
_KEPT: Final = ("devedor", "solicitacaoPagador", "infoAdicionais")


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /cob/{txid}`: make a charge, or replace what an active one asks for."""
    txid, body = request.parts[-1], request.document
    _refuse([] if _TXID.fullmatch(txid) else [TXID_BAD])
    _refuse(put_violations(frame, account, txid, body))
    found = books.find(frame, account.document, txid)
    if found is None:
        return _made(frame, account, txid, body)
    if found["account_id"] != account.id or found["kind"] != "cob":
        raise Problem("CobOperacaoInvalida", [TXID_TAKEN])
    refused = quirks.twice(frame)
    if refused is not None:
        return refused
    _refuse([] if found["status"] == "ATIVA" else [NOT_ACTIVE_PUT])
    return json_answer(201, document(frame, account, _changed(frame, account, found, body, put=True)))


def patch(frame: Frame, account: Account, request: Request) -> Answer:
    """`PATCH /cob/{txid}`: change an active charge, or remove it and nothing else."""
    charge, body = books.owned(frame, account, KIND, request.parts[-1]), request.document
    _refuse([] if charge["status"] == "ATIVA" else [NOT_ACTIVE_PATCH])
    _refuse(patch_violations(frame, account, charge["txid"], body))
    if "status" in body:
        charge = books.remove(frame, account, KIND, charge)
    else:
        charge = _changed(frame, account, charge, _overlaid(charge, body), put=False)
    return json_answer(200, document(frame, account, charge))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cob/{txid}`, or one of its earlier revisions."""
    return books.read(frame, account, KIND, request)


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cob`: the account's charges by instant of creation."""
    return books.listed(frame, account, KIND, request)


def remove_by_bank(frame: Frame, charge_id: int) -> None:
    """Remove a charge as a bank does that no longer wants to hold it."""
    frame.store.run(
        """
        update charge set status = 'REMOVIDA_PELO_PSP', revision = revision + 1
         where id = :id and status = 'ATIVA'
        """,
        id=charge_id,
    )


def asked_of(charge: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `valor` of a charge, and those of its members that are shown as they were sent."""
    kept = json.loads(charge["body"])
    value: dict[str, Any] = {"original": shown_amount(charge["amount"])}
    if "modalidadeAlteracao" in kept:
        value["modalidadeAlteracao"] = kept.pop("modalidadeAlteracao")
    return value, kept


def document(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    """Return a charge as a write answers it."""
    value, kept = asked_of(charge)
    return {
        "calendario": {"criacao": shown_at(charge["created_at"]), "expiracao": charge["expires_in_s"]},
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "status": charge["status"],
        "valor": value,
        "chave": charge["key"],
        **locations.shown(frame, account, charge),
        **kept,
    }


KIND: Final = books.Kind("cob", "CobNaoEncontrado", "CobConsultaInvalida", document)


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise Problem("CobOperacaoInvalida", violations)


def _made(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> Answer:
    """Make a charge, and plan what its amount makes happen to it."""
    columns = _columns(body)
    columns["expires_in_s"] = magic.LIFETIMES_S.get(columns["amount"], columns["expires_in_s"])
    charge = books.insert(frame, account, KIND, txid, columns, body.get("loc"))
    answer = json_answer(201, document(frame, account, charge))
    magic.plan(frame, account.id, charge)
    return answer


def _changed(frame: Frame, account: Account, charge: Row, body: Mapping[str, Any], *, put: bool) -> Row:
    return books.change(frame, account, KIND, charge, _columns(body), body.get("loc"), put=put)


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a valid body becomes in the books."""
    reais, centavos = body["valor"]["original"].split(".")
    kept = {name: body[name] for name in _KEPT if body.get(name) is not None}
    if "modalidadeAlteracao" in body["valor"]:
        kept["modalidadeAlteracao"] = body["valor"]["modalidadeAlteracao"]
    return {
        "amount": int(reais) * 100 + int(centavos),
        "key": body["chave"],
        "expires_in_s": (body.get("calendario") or {}).get("expiracao", LIFETIME_DEFAULT_S),
        "body": render(kept),
    }


def _overlaid(charge: Row, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole body that a charge has once *body* changed some of its members."""
    value, kept = asked_of(charge)
    whole = kept | {"calendario": {"expiracao": charge["expires_in_s"]}, "valor": value, "chave": charge["key"]}
    for name, member in body.items():
        whole[name] = whole[name] | member if name in ("calendario", "valor") else member
    return whole
