"""Money that arrives: the payer's side, and `pix` for the receiver (pix-rail.md §11.2, §11.6)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import Refused
from opentill.pix import brcode
from opentill.pix.identifiers import end_to_end_id
from opentill.pix.keys import detect
from opentill.sandbox_psp import locations, paging
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.agenda import schedule
from opentill.sandbox_psp.announcing import announce
from opentill.sandbox_psp.due_amounts import asked_now, components, owed_now
from opentill.sandbox_psp.frame import MILLISECOND, PAYERS_BANK, PAYERS_ISPB, Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.store import Row

COUNT_MAX: Final = 100
PAYER: Final = {"name": "Ana Teste", "document": "12345678909"}


@dataclass(frozen=True, slots=True)
class _Target:
    """What an order to pay leads to."""

    account_id: int
    key: str
    txid: str | None
    amount: int
    charge: Row | None
    payer: Mapping[str, str]


def pay(frame: Frame, order: Mapping[str, Any], account_id: int | None = None) -> list[str]:
    """Have a payer pay, now or after `delay_ms`, and return the end-to-end ids.

    *order*: one of `txid`, `code`, `key`; optional `amount` (centavos), `label`, `payer`, `e2e_id`, `count`,
    `copies` of the notification, `delay_ms`, `message`, `any_amount`, `force`.
    Raises `Problem` where no bank would pay.
    """
    target = _target(frame, order, account_id)
    ids = order.get("e2e_ids") or _new_ids(frame, order)
    delay_ms = order.get("delay_ms", 0)
    if delay_ms:
        later = {name: value for name, value in order.items() if name not in ("delay_ms", "e2e_id", "count")}
        detail = {"order": later | {"e2e_ids": ids}}
        schedule(frame, target.account_id, "pay", detail, delay_us=delay_ms * MILLISECOND)
        return ids
    for e2e_id in ids:
        receipt = _settle(frame, target, e2e_id, order.get("message"))
        if receipt is not None and target.txid is not None:
            announce(frame, receipt, order.get("copies", 1))
    return ids


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /pix/{e2eid}`."""
    return json_answer(200, complete(frame, owned(frame, account, request.parts[-1])))


def owned(frame: Frame, account: Account, e2e_id: str) -> Row:
    """Return a receipt of the account. Raises `PixNaoEncontrado`."""
    row = frame.store.one(
        "select * from receipt where e2e_id = :e2e_id and account_id = :account_id",
        e2e_id=e2e_id,
        account_id=account.id,
    )
    if row is None:
        raise Problem("PixNaoEncontrado")
    return row


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /pix`: what arrived on the account, oldest first."""
    window = paging.read_window(request.query, "PixConsultaInvalida")
    tail = """
        from receipt
       where account_id = :account_id and settled_at between :start and :end
         and (:txid is null or txid = :txid)
         and (:with_txid is null or (txid is not null) = (:with_txid = 'true'))
         and (:with_return is null
              or exists (select 1 from return where receipt_id = receipt.id) = (:with_return = 'true'))
         and (:document is null or payer_document = :document)
       order by settled_at, id
    """
    given = {
        "account_id": account.id,
        "txid": request.query.get("txid"),
        "with_txid": request.query.get("txIdPresente"),
        "with_return": request.query.get("devolucaoPresente"),
        "document": request.query.get("cpf") or request.query.get("cnpj"),
    }
    rows, paged = paging.page(frame, window, tail, given)
    flags = ("txIdPresente", "devolucaoPresente")
    shown = paging.echoed(request.query, window, paged, ("txid", "cpf", "cnpj"), flags)
    return json_answer(200, {"parametros": shown, "pix": [complete(frame, row) for row in rows]})


def complete(frame: Frame, row: Row, off: int = 0) -> dict[str, Any]:
    """Return a receipt in the document's shape, with all that went back of it."""
    returned = frame.store.all("select * from return where receipt_id = :id order by id", id=row["id"])
    document = receipt_document(row, off)
    return document | {"devolucoes": [return_document(each) for each in returned]} if returned else document


def return_document(row: Row) -> dict[str, Any]:
    """Return a return in the document's shape."""
    times = {"solicitacao": shown_at(row["requested_at"])}
    if row["settled_at"] is not None:
        times["liquidacao"] = shown_at(row["settled_at"])
    document: dict[str, Any] = {
        "id": row["ref"],
        "rtrId": row["rtr_id"],
        "valor": shown_amount(row["amount"]),
        "natureza": row["nature"],
        "horario": times,
        "status": row["status"],
    }
    texts = {"descricao": row["text"], "motivo": row["reason"]}
    return document | {name: text for name, text in texts.items() if text is not None}


def receipt_document(row: Row, off: int = 0) -> dict[str, Any]:
    """Return a receipt in the document's shape, *off* centavos away from the truth."""
    amount = shown_amount(row["amount"] + off)
    document: dict[str, Any] = {"endToEndId": row["e2e_id"]}
    if row["txid"] is not None:
        document["txid"] = row["txid"]
    document |= {
        "valor": amount,
        "componentesValor": json.loads(row["components"] or "null") or {"original": {"valor": amount}},
        "chave": row["key"],
        "horario": shown_at(row["settled_at"]),
        "pagador": {
            "nome": row["payer_name"],
            "cpf" if len(row["payer_document"]) == 11 else "cnpj": row["payer_document"],
            "ispb": PAYERS_ISPB,
            "banco": PAYERS_BANK,
        },
    }
    return document | {"infoPagador": row["message"]} if row["message"] else document


def _target(frame: Frame, order: Mapping[str, Any], account_id: int | None) -> _Target:
    if "code" in order:
        return _of_code(frame, order)
    if "txid" in order:
        charge = frame.store.one(
            """
            select * from charge
             where txid = :txid and (:account_id is null or account_id = :account_id)
             order by id desc limit 1
            """,
            txid=order["txid"],
            account_id=account_id,
        )
        return _of_charge(frame, charge, order)
    return _of_key(frame, str(order.get("key", "")), order.get("label"), None, order)


def _of_code(frame: Frame, order: Mapping[str, Any]) -> _Target:
    try:
        code = brcode.parse(str(order["code"]))
    except brcode.BadCode:
        raise Problem("RequisicaoInvalida") from None
    if code.url is not None:
        return _of_charge(frame, locations.charge_at(frame, code.url.rpartition("/")[2]), order)
    return _of_key(frame, code.key or "", code.txid, code.amount_centavos, order)


def _of_charge(frame: Frame, charge: Row | None, order: Mapping[str, Any]) -> _Target:
    """Return what paying a charge means. The payer's bank pays what the charge says, unless forced."""
    if charge is None:
        raise Problem("CobNaoEncontrado")
    asked, kept = asked_now(frame, charge), json.loads(charge["body"])
    amount = order.get("amount", asked)
    payable = charge["status"] == "ATIVA" and frame.now() < charge["created_at"] + charge["expires_in_s"] * SECOND
    free = kept.get("modalidadeAlteracao") == 1 or order.get("any_amount") or amount == asked
    if not order.get("force") and not (payable and free):
        raise Problem("CobOperacaoInvalida")
    debtor = kept.get("devedor")
    payer = {"name": debtor["nome"], "document": debtor.get("cpf") or debtor["cnpj"]} if debtor else PAYER
    return _Target(
        charge["account_id"], charge["key"], charge["txid"], amount, charge, payer | (order.get("payer") or {})
    )


def _of_key(frame: Frame, key: str, label: str | None, fixed_amount: int | None, order: Mapping[str, Any]) -> _Target:
    try:
        canonical = detect(key).value
    except Refused:
        raise Problem("RequisicaoInvalida") from None
    row = frame.store.one("select account_id from account_key where key = :key", key=canonical)
    amount = order.get("amount", fixed_amount)
    if row is None:
        raise Problem("NaoEncontrado")
    if amount is None or (fixed_amount is not None and amount != fixed_amount and not order.get("force")):
        raise Problem("RequisicaoInvalida")
    return _Target(row["account_id"], canonical, label, amount, None, PAYER | (order.get("payer") or {}))


def _new_ids(frame: Frame, order: Mapping[str, Any]) -> list[str]:
    count = min(order.get("count", 1), COUNT_MAX)
    if "e2e_id" in order:
        if frame.store.one("select 1 from receipt where e2e_id = :e2e_id", e2e_id=order["e2e_id"]):
            raise Problem("RequisicaoInvalida")
        return [order["e2e_id"]]
    return [end_to_end_id(frame.ids, PAYERS_ISPB, Instant(frame.now())) for _ in range(count)]


def _settle(frame: Frame, target: _Target, e2e_id: str, message: str | None) -> Row | None:
    """Have the money arrive, once for an end-to-end id: None when it was used before."""
    charge_id = target.charge["id"] if target.charge is not None else None
    if charge_id is not None:
        # A removed charge stays removed even if money reaches it: only an active one concludes.
        frame.store.run("update charge set status = 'CONCLUIDA' where id = :id and status = 'ATIVA'", id=charge_id)
    return frame.store.one(
        """
        insert into receipt (e2e_id, account_id, charge_id, txid, amount, key, payer_name, payer_document,
                             message, components, settled_at)
        values (:e2e_id, :account_id, :charge_id, :txid, :amount, :key, :payer_name, :payer_document,
                :message, :components, :now)
        on conflict (e2e_id) do nothing
        returning *
        """,
        e2e_id=e2e_id,
        account_id=target.account_id,
        charge_id=charge_id,
        txid=target.txid,
        amount=target.amount,
        key=target.key,
        payer_name=target.payer["name"],
        payer_document=target.payer["document"],
        message=message,
        components=_components(frame, target),
        now=frame.now(),
    )


def _components(frame: Frame, target: _Target) -> str | None:
    """Return what a due charge's money is made of, None for other money, or where another amount was paid."""
    if target.charge is None or target.charge["kind"] != "cobv":
        return None
    parts = owed_now(frame, target.charge)
    return components(parts) if parts.total == target.amount else None
