"""Immediate charges: `cob` (pix-rail.md §11.2)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.pix import brcode
from opentill.sandbox_psp import magic, paging, quirks, revisions
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.charge_rules import (
    LIFETIME_DEFAULT_S,
    NOT_ACTIVE_PATCH,
    NOT_ACTIVE_PUT,
    REMOVED_BY_USER,
    TXID_BAD,
    TXID_TAKEN,
    patch_violations,
    put_violations,
)
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.receipts import complete
from opentill.sandbox_psp.store import Row

PLACE_CHARACTERS: Final = 32

_TXID: Final = re.compile(r"[a-zA-Z0-9]{26,35}")
_KEPT: Final = ("devedor", "solicitacaoPagador", "infoAdicionais")


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /cob/{txid}`: make a charge, or replace what an active one asks for."""
    txid, body = request.parts[-1], request.document
    _refuse([] if _TXID.fullmatch(txid) else [TXID_BAD])
    _refuse(put_violations(frame, account, body))
    found = _find(frame, account.document, txid)
    if found is None:
        charge = _insert(frame, account, txid, body)
        answer = json_answer(201, _document(frame, account, charge))
        magic.plan(frame, account.id, charge)
        return answer
    if found["account_id"] != account.id or found["kind"] != "cob":
        raise Problem("CobOperacaoInvalida", [TXID_TAKEN])
    refused = quirks.twice(frame)
    if refused is not None:
        return refused
    _refuse([] if found["status"] == "ATIVA" else [NOT_ACTIVE_PUT])
    return json_answer(201, _document(frame, account, _revise(frame, account, found, body, put=True)))


def patch(frame: Frame, account: Account, request: Request) -> Answer:
    """`PATCH /cob/{txid}`: change an active charge, or remove it and nothing else."""
    charge, body = _owned(frame, account, request.parts[-1]), request.document
    _refuse([] if charge["status"] == "ATIVA" else [NOT_ACTIVE_PATCH])
    _refuse(patch_violations(frame, account, body))
    if "status" in body:
        charge = _remove(frame, account, charge)
    elif body.keys() - {"loc"}:
        charge = _revise(frame, account, charge, _overlaid(charge, body), put=False)
    return json_answer(200, _document(frame, account, charge))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cob/{txid}`, or one of its earlier revisions."""
    charge = _owned(frame, account, request.parts[-1])
    earlier = revisions.asked(frame, charge, request, problem="CobConsultaInvalida")
    return earlier or json_answer(200, _complete(frame, account, charge))


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /cob`: the account's charges by instant of creation."""
    window = paging.read_window(request.query, "CobConsultaInvalida")
    where = """
        from charge
       where account_id = :account_id and kind = 'cob' and created_at between :start and :end
         and (:status is null or status = :status)
         and (:cpf is null or json_extract(body, '$.devedor.cpf') = :cpf)
         and (:cnpj is null or json_extract(body, '$.devedor.cnpj') = :cnpj)
         and coalesce(:with_location, 'true') = 'true'
    """
    given = {
        "account_id": account.id,
        "status": request.query.get("status"),
        "cpf": request.query.get("cpf"),
        "cnpj": request.query.get("cnpj"),
        "with_location": request.query.get("locationPresente"),
    }
    rows, paged = paging.page(frame, window, f"{where} order by created_at, id", given)
    shown = paging.echoed(request.query, window, paged, ("cpf", "cnpj", "status"), ("locationPresente",))
    return json_answer(200, {"parametros": shown, "cobs": [_complete(frame, account, row) for row in rows]})


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


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise Problem("CobOperacaoInvalida", violations)


def _find(frame: Frame, document: str, txid: str) -> Row | None:
    return frame.store.one(
        "select * from charge where document = :document and txid = :txid", document=document, txid=txid
    )


def _owned(frame: Frame, account: Account, txid: str) -> Row:
    charge = _find(frame, account.document, txid)
    if charge is None or charge["account_id"] != account.id or charge["kind"] != "cob":
        raise Problem("CobNaoEncontrado")
    return charge


def _insert(frame: Frame, account: Account, txid: str, body: Mapping[str, Any]) -> Row:
    asked = _columns(body)
    lifetime_s = magic.LIFETIMES_S.get(asked["amount"], asked["expires_in_s"])
    inserted = frame.store.one(
        """
        insert into charge (account_id, document, txid, status, amount, key, expires_in_s, body, place, created_at)
        values (:account_id, :document, :txid, 'ATIVA', :amount, :key, :expires_in_s, :body, :place, :now)
        returning *
        """,
        account_id=account.id,
        document=account.document,
        txid=txid,
        place=frame.ids.hex(PLACE_CHARACTERS),
        now=frame.now(),
        **(asked | {"expires_in_s": lifetime_s}),
    )
    assert inserted is not None  # noqa: S101 - an insert that did not raise returns its row
    return inserted


def _revise(frame: Frame, account: Account, charge: Row, body: Mapping[str, Any], *, put: bool) -> Row:
    """Replace what an active charge asks for, and keep how it was."""
    _keep_revision(frame, account, charge)
    frame.store.run(
        """
        update charge
           set amount = :amount, key = :key, expires_in_s = :expires_in_s, body = :body,
               revision = revision + 1, executions = executions + :put
         where id = :id
        """,
        id=charge["id"],
        put=int(put),
        **_columns(body),
    )
    return _again(frame, charge)


def _remove(frame: Frame, account: Account, charge: Row) -> Row:
    _keep_revision(frame, account, charge)
    frame.store.run(
        "update charge set status = :status, revision = revision + 1 where id = :id",
        status=REMOVED_BY_USER,
        id=charge["id"],
    )
    return _again(frame, charge)


def _again(frame: Frame, charge: Row) -> Row:
    row = frame.store.one("select * from charge where id = :id", id=charge["id"])
    assert row is not None  # noqa: S101 - charges are never deleted while a request runs
    return row


def _keep_revision(frame: Frame, account: Account, charge: Row) -> None:
    frame.store.run(
        "insert into charge_revision (charge_id, revision, answer) values (:id, :revision, :answer)",
        id=charge["id"],
        revision=charge["revision"],
        answer=render(_complete(frame, account, charge)),
    )


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


def _document(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    """Return a charge as a write answers it."""
    value, kept = asked_of(charge)
    created_at = shown_at(charge["created_at"])
    url = f"{frame.host}/qr/v2/{charge['place']}"  # where a payer's bank fetches it, without scheme
    return {
        "calendario": {"criacao": created_at, "expiracao": charge["expires_in_s"]},
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "loc": {
            "id": charge["id"],
            "txid": charge["txid"],
            "location": url,
            "tipoCob": "cob",
            "criacao": created_at,
        },
        "location": url,
        "status": charge["status"],
        "valor": value,
        "chave": charge["key"],
        "pixCopiaECola": brcode.build_dynamic(url=url, name=account.name, city=account.city),
        **kept,
    }


def _complete(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    """Return a charge as a read answers it, with what was paid."""
    document = _document(frame, account, charge)
    paid = frame.store.all("select * from receipt where charge_id = :id order by id", id=charge["id"])
    return document | {"pix": [complete(frame, row) for row in paid]} if paid else document
