"""Charges with a due date: `cobv` (pix-rail.md §6.4, §11.2)."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from opentill.kernel.calendar import day_ends, day_of
from opentill.kernel.clock import SECOND, Instant
from opentill.pix.due import owed, read_terms
from opentill.sandbox_psp import charge_books as books
from opentill.sandbox_psp import locations
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.due_amounts import shown_parts, terms_of
from opentill.sandbox_psp.due_rules import put_violations, status_violations
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row

DAYS_AFTER_DEFAULT: Final = 30

_KEPT: Final = ("calendario", "devedor", "valor", "solicitacaoPagador", "infoAdicionais")


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /cobv/{txid}`: make a charge, or replace what an active one asks for."""
    txid, body = request.parts[-1], request.document
    found = books.find(frame, account.document, txid)
    created_at = Instant(found["created_at"]) if found else frame.now()
    _refuse(put_violations(frame, account, txid, body, day_of(created_at)))
    if found is None:
        made = books.insert(frame, account, KIND, txid, _columns(body, created_at), body.get("loc"))
        return json_answer(201, document(frame, account, made))
    if found["account_id"] != account.id or found["kind"] != "cobv":
        _refuse([Violation("O campo `cobv.txid` encontra-se em uso.", "cobv.txid")])
    if found["status"] != "ATIVA":
        reason = "A cobrança já existe, não está ATIVA, e a presente requisição busca alterá-la"
        _refuse([Violation(reason, "cobv.status")])
    return json_answer(201, document(frame, account, _changed(frame, account, found, body, put=True)))


def patch(frame: Frame, account: Account, request: Request) -> Answer:
    """`PATCH /cobv/{txid}`: change an active charge, or remove it and nothing else."""
    charge, body = books.owned(frame, account, KIND, request.parts[-1]), request.document
    if charge["status"] != "ATIVA":
        _refuse([Violation("A cobrança não está ATIVA, e a presente requisição busca alterá-la", "cobv.status")])
    if "status" in body:
        _refuse(status_violations(body))
        return json_answer(200, document(frame, account, books.remove(frame, account, KIND, charge)))
    whole = json.loads(charge["body"]) | {"chave": charge["key"]}
    for name, member in body.items():
        both = isinstance(member, dict) and isinstance(whole.get(name), dict)
        whole[name] = whole[name] | member if both and name != "devedor" else member
    _refuse(put_violations(frame, account, charge["txid"], whole, day_of(charge["created_at"])))
    return json_answer(200, document(frame, account, _changed(frame, account, charge, whole, put=False)))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cobv/{txid}`, or one of its earlier revisions."""
    return books.read(frame, account, KIND, request)


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cobv`: the account's charges with a due date by instant of creation."""
    return books.listed(frame, account, KIND, request)


def payload(frame: Frame, charge: Row, on: date) -> dict[str, Any]:
    """Return what a payer's bank reads for a day of payment. Raises `CobPayloadOperacaoInvalida` for a wrong one."""
    terms, body = terms_of(charge), json.loads(charge["body"])
    if not day_of(frame.now()) <= on <= terms.last_day:
        raise Problem("CobPayloadOperacaoInvalida", [Violation("O parâmetro `DPP` não pode ser atendido.", "DPP")])
    account = frame.store.all("select * from account where id = :id", id=charge["account_id"])[0]
    parts = owed(terms, on)
    times = {"criacao": shown_at(charge["created_at"]), "apresentacao": shown_at(frame.now())}
    return {
        **body,
        "calendario": {**times, **body["calendario"]},
        "devedor": {name: body["devedor"][name] for name in ("cpf", "cnpj", "nome") if name in body["devedor"]},
        "recebedor": _receiver(account["document"], account["name"], account["city"]),
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "status": charge["status"],
        "valor": {"original": shown_amount(parts.original), **shown_parts(parts), "final": shown_amount(parts.total)},
        "chave": charge["key"],
    }


def document(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    """Return a charge as a write answers it."""
    body = json.loads(charge["body"])
    return {
        **body,
        "calendario": {"criacao": shown_at(charge["created_at"]), **body["calendario"]},
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "status": charge["status"],
        "chave": charge["key"],
        "recebedor": _receiver(account.document, account.name, account.city),
        **locations.shown(frame, account, charge),
    }


KIND: Final = books.Kind("cobv", "CobVNaoEncontrada", "CobVConsultaInvalida", document)


def _receiver(document: str, name: str, city: str) -> dict[str, str]:
    return {"cnpj": document, "nome": name, "cidade": city, "logradouro": "Rua Um, 10", "uf": "SP", "cep": "01001000"}


def _changed(frame: Frame, account: Account, charge: Row, body: Mapping[str, Any], *, put: bool) -> Row:
    columns = _columns(body, charge["created_at"])
    return books.change(frame, account, KIND, charge, columns, body.get("loc"), put=put)


def _columns(body: Mapping[str, Any], created_at: int) -> dict[str, Any]:
    """Return what a valid body becomes in the books. It expires with its last day, in seconds from its creation."""
    kept = {name: body[name] for name in _KEPT if body.get(name) is not None}
    kept["calendario"] = {"validadeAposVencimento": DAYS_AFTER_DEFAULT} | body["calendario"]
    terms = read_terms(kept["calendario"], kept["valor"])
    return {
        "amount": terms.original,
        "key": body["chave"],
        "expires_in_s": -((created_at - day_ends(terms.last_day)) // SECOND),
        "body": render(kept),
    }


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise Problem("CobVOperacaoInvalida", violations)
