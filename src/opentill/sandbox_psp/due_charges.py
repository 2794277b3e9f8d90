"""Charges with a due date: `cobv` (pix-rail.md §6.4, §11.2)."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from opentill.kernel.calendar import day_ends, day_of
from opentill.kernel.clock import SECOND, Instant
from opentill.pix import brcode
from opentill.pix.due import owed, read_terms
from opentill.sandbox_psp import paging, revisions
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.charge_rules import REMOVED_BY_USER
from opentill.sandbox_psp.due_amounts import shown_parts, terms_of
from opentill.sandbox_psp.due_rules import put_violations, status_violations
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.receipts import complete
from opentill.sandbox_psp.store import Row

PLACE_CHARACTERS: Final = 27  # of a location of at most 77, with the host and its path
DAYS_AFTER_DEFAULT: Final = 30

_KEPT: Final = ("calendario", "devedor", "valor", "solicitacaoPagador", "infoAdicionais")


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /cobv/{txid}`: make a charge, or replace what an active one asks for."""
    txid, body = request.parts[-1], request.document
    found = frame.store.one(
        "select * from charge where document = :document and txid = :txid", document=account.document, txid=txid
    )
    created_at = found["created_at"] if found else frame.now()
    _refuse(put_violations(frame, account, txid, body, day_of(Instant(created_at))))
    if found is not None and (found["account_id"] != account.id or found["kind"] != "cobv"):
        _refuse([Violation("O campo `cobv.txid` encontra-se em uso.", "cobv.txid")])
    if found is not None and found["status"] != "ATIVA":
        reason = "A cobrança já existe, não está ATIVA, e a presente requisição busca alterá-la"
        _refuse([Violation(reason, "cobv.status")])
    charge = _insert(frame, account, txid, body) if found is None else _revise(frame, account, found, body)
    return json_answer(201, document(frame, account, charge))


def patch(frame: Frame, account: Account, request: Request) -> Answer:
    """`PATCH /cobv/{txid}`: change an active charge, or remove it and nothing else."""
    charge, body = _owned(frame, account, request.parts[-1]), request.document
    if charge["status"] != "ATIVA":
        _refuse([Violation("A cobrança não está ATIVA, e a presente requisição busca alterá-la", "cobv.status")])
    if "status" in body:
        _refuse(status_violations(body))
        _keep_revision(frame, account, charge)
        frame.store.run(
            "update charge set status = :status, revision = revision + 1 where id = :id",
            status=REMOVED_BY_USER,
            id=charge["id"],
        )
        return json_answer(200, document(frame, account, _again(frame, charge)))
    whole = json.loads(charge["body"]) | {"chave": charge["key"]}
    for name, member in body.items():
        both = isinstance(member, dict) and isinstance(whole.get(name), dict)
        whole[name] = whole[name] | member if both and name != "devedor" else member
    _refuse(put_violations(frame, account, charge["txid"], whole, day_of(charge["created_at"])))
    return json_answer(200, document(frame, account, _revise(frame, account, charge, whole)))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cobv/{txid}`, or one of its earlier revisions."""
    charge = _owned(frame, account, request.parts[-1])
    earlier = revisions.asked(frame, charge, request, problem="CobVConsultaInvalida")
    return earlier or json_answer(200, _complete(frame, account, charge))


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cobv`: the account's charges with a due date by instant of creation."""
    window = paging.read_window(request.query, "CobVConsultaInvalida")
    where = """
        from charge
       where account_id = :account_id and kind = 'cobv' and created_at between :start and :end
         and (:status is null or status = :status)
         and (:cpf is null or json_extract(body, '$.devedor.cpf') = :cpf)
         and (:cnpj is null or json_extract(body, '$.devedor.cnpj') = :cnpj)
    """
    given = {name: request.query.get(name) for name in ("status", "cpf", "cnpj")} | {"account_id": account.id}
    rows, paged = paging.page(frame, window, f"{where} order by created_at, id", given)
    shown = paging.echoed(request.query, window, paged, ("cpf", "cnpj", "status"), ("locationPresente",))
    return json_answer(200, {"parametros": shown, "cobs": [_complete(frame, account, row) for row in rows]})


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
    created_at = shown_at(charge["created_at"])
    url = f"{frame.host}/qr/v2/cobv/{charge['place']}"
    location = {"txid": charge["txid"], "location": url, "tipoCob": "cobv", "criacao": created_at}
    return {
        **body,
        "calendario": {"criacao": created_at, **body["calendario"]},
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "loc": {"id": charge["id"], **location},
        "location": url,
        "status": charge["status"],
        "chave": charge["key"],
        "recebedor": _receiver(account.document, account.name, account.city),
        "pixCopiaECola": brcode.build_dynamic(url=url, name=account.name, city=account.city),
    }


def _receiver(document: str, name: str, city: str) -> dict[str, str]:
    return {"cnpj": document, "nome": name, "cidade": city, "logradouro": "Rua Um, 10", "uf": "SP", "cep": "01001000"}


def _insert(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> Row:
    now = frame.now()
    frame.store.run(
        """
        insert into charge (account_id, document, txid, kind, status, amount, key, expires_in_s, body, place,
                            created_at)
        values (:account_id, :document, :txid, 'cobv', 'ATIVA', :amount, :key, :expires_in_s, :body, :place, :now)
        """,
        account_id=account.id,
        document=account.document,
        txid=txid,
        place=frame.ids.hex(PLACE_CHARACTERS),
        now=now,
        **_columns(body, now),
    )
    return _owned(frame, account, txid)


def _revise(frame: Frame, account: Account, charge: Row, body: Mapping[str, Any]) -> Row:
    _keep_revision(frame, account, charge)
    frame.store.run(
        """
        update charge
           set amount = :amount, key = :key, expires_in_s = :expires_in_s, body = :body,
               revision = revision + 1, executions = executions + 1
         where id = :id
        """,
        id=charge["id"],
        **_columns(body, charge["created_at"]),
    )
    return _again(frame, charge)


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


def _keep_revision(frame: Frame, account: Account, charge: Row) -> None:
    frame.store.run(
        "insert into charge_revision (charge_id, revision, answer) values (:id, :revision, :answer)",
        id=charge["id"],
        revision=charge["revision"],
        answer=render(_complete(frame, account, charge)),
    )


def _again(frame: Frame, charge: Row) -> Row:
    return frame.store.all("select * from charge where id = :id", id=charge["id"])[0]


def _owned(frame: Frame, account: Account, txid: str) -> Row:
    row = frame.store.one(
        "select * from charge where account_id = :account_id and txid = :txid and kind = 'cobv'",
        account_id=account.id,
        txid=txid,
    )
    if row is None:
        raise Problem("CobVNaoEncontrada")
    return row


def _complete(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    whole = document(frame, account, charge)
    paid = frame.store.all("select * from receipt where charge_id = :id order by id", id=charge["id"])
    return whole | {"pix": [complete(frame, row) for row in paid]} if paid else whole


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise Problem("CobVOperacaoInvalida", violations)
