"""Money that is sent: `/envio/v1/pix`, in a shape of this bank's own, as every bank has one (pix-rail.md §11.5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import Instant
from opentill.kernel.errors import Refused
from opentill.pix.identifiers import end_to_end_id, return_id
from opentill.pix.keys import detect
from opentill.pix.rejections import BY_CODE, BY_NUMBER
from opentill.sandbox_psp import payout_magic
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.agenda import schedule
from opentill.sandbox_psp.announcing import announce_payout
from opentill.sandbox_psp.frame import BANK_ISPB, PAYERS_ISPB, Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.payees import Payee, payee_of, quoted
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.receipts import pay
from opentill.sandbox_psp.store import Row

TEXT_MAX: Final = 140  # characters
FINAL: Final = ("REALIZADO", "NAO_REALIZADO")

_REF: Final = re.compile(r"[a-zA-Z0-9]{1,35}")
_AMOUNT: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_E2E: Final = re.compile(r"E99999001[0-9]{12}[a-zA-Z0-9]{11}")


@dataclass(frozen=True, slots=True)
class _Order:
    """A payout as it was asked for."""

    ref: str
    amount: int
    payee: Payee
    text: str | None
    e2e_id: str


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /envio/v1/pix/{ref}`: taken now, settled a second later. The same ref again answers what is there."""
    ref = request.parts[-1]
    found = _find(frame, account, ref)
    if found is not None:
        return json_answer(409, document(frame, found))
    order = _order(frame, account, ref, request.document)
    behaviour = payout_magic.behaviour_of(order.amount, order.payee.key)
    _refuse_at_once(behaviour, account, order)
    payout = _insert(frame, account, order)
    for step in behaviour.steps:
        schedule(frame, account.id, "settle payout", {"id": payout["id"], **step.detail}, delay_us=step.delay_us)
    return json_answer(409 if behaviour.already else 201, document(frame, payout))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /envio/v1/pix/{ref}`. 404 proves that there is no such payout."""
    payout = _find(frame, account, request.parts[-1])
    if payout is None:
        raise Problem("EnvioNaoEncontrado")
    return json_answer(200, document(frame, payout))


def decode(frame: Frame, account: Account, request: Request) -> Answer:
    """`POST /envio/v1/decodificar`: what paying a code would mean."""
    code = request.document.get("pixCopiaECola")
    if not isinstance(code, str):
        raise Problem("EnvioInvalido", [Violation("O campo `pixCopiaECola` não respeita o _schema_.", "pixCopiaECola")])
    return json_answer(200, quoted(frame, code))


def carry_out(frame: Frame, detail: Mapping[str, Any]) -> None:
    """Do what the agenda has for a payout: hold it, end it, or have its recipient return it."""
    payout = frame.store.one("select * from payout where id = :id", id=detail["id"])
    if payout is None:
        return
    if "returned" in detail:
        give_back(frame, payout, detail["returned"], "Devolvido pelo recebedor.")
    else:
        settle(frame, payout, detail["status"], detail.get("code"), copies=detail.get("copies", 1))


def settle(frame: Frame, payout: Row, status: str, code: str | None = None, *, copies: int = 1) -> bool:
    """Move a payout that has not ended and announce it; return whether it moved."""
    moved = frame.store.run(
        """
        update payout set status = :status, code = :code, settled_at = :settled_at
         where id = :id and status in ('EM_PROCESSAMENTO', 'RETIDO')
        """,
        id=payout["id"],
        status=status,
        code=code,
        settled_at=frame.now() if status in FINAL else None,
    )
    if not moved:
        return False
    if status == "REALIZADO":
        _deliver(frame, payout)
    announce_payout(frame, payout, copies)
    return True


def give_back(frame: Frame, payout: Row, amount: int | None, reason: str) -> str:
    """Have the recipient return a payout, or a part of it; return the return's id."""
    row = frame.store.one(
        "select coalesce(sum(amount), 0) as total from payout_return where payout_id = :id", id=payout["id"]
    )
    left = payout["amount"] - (int(row["total"]) if row else 0)
    amount = left if amount is None else amount
    status = frame.store.all("select status from payout where id = :id", id=payout["id"])[0]["status"]
    if status != "REALIZADO" or not 0 < amount <= left:
        raise Problem("EnvioInvalido")
    rtr_id = return_id(frame.ids, PAYERS_ISPB, Instant(frame.now()))
    frame.store.run(
        """
        insert into payout_return (payout_id, rtr_id, amount, reason, settled_at)
        values (:payout_id, :rtr_id, :amount, :reason, :now)
        """,
        payout_id=payout["id"],
        rtr_id=rtr_id,
        amount=amount,
        reason=reason,
        now=frame.now(),
    )
    announce_payout(frame, payout)
    return rtr_id


def document(frame: Frame, payout: Row, off: int = 0) -> dict[str, Any]:
    """Return a payout as the bank shows it, *off* centavos away from the truth."""
    lies = payout["amount"] == payout_magic.REPORTS_MORE and payout["status"] in FINAL
    shown: dict[str, Any] = {
        "ref": payout["ref"],
        "endToEndId": payout["e2e_id"],
        "valor": shown_amount(payout["amount"] + off + int(lies)),
        "status": payout["status"],
        "favorecido": {"nome": payout["payee_name"], "documento": payout["payee_document"]},
        "horario": {"solicitacao": shown_at(payout["created_at"])},
    }
    if payout["settled_at"] is not None:
        shown["horario"]["liquidacao"] = shown_at(payout["settled_at"])
    if payout["code"] is not None:
        shown |= {"codigo": payout["code"], "motivo": _meaning(payout["code"])}
    returned = frame.store.all("select * from payout_return where payout_id = :id order by id", id=payout["id"])
    return shown | {"devolucoes": [_return_document(row) for row in returned]} if returned else shown


def _order(frame: Frame, account: Account, ref: str, body: Mapping[str, Any]) -> _Order:
    """Return what is asked for. Raises `EnvioInvalido`."""
    amount, text, e2e_id = body.get("valor"), body.get("descricao"), body.get("endToEndId")
    well_formed = {
        "ref": _REF.fullmatch(ref) is not None,
        "valor": isinstance(amount, str) and _AMOUNT.fullmatch(amount) is not None and amount.strip("0.") != "",
        "descricao": text is None or (isinstance(text, str) and len(text) <= TEXT_MAX),
        "endToEndId": e2e_id is None or (isinstance(e2e_id, str) and _E2E.fullmatch(e2e_id) is not None),
    }
    wrong = [
        Violation(f"O campo `{name}` não respeita o _schema_.", name) for name, fine in well_formed.items() if not fine
    ]
    if wrong:
        raise Problem("EnvioInvalido", wrong)
    centavos = int(str(amount).replace(".", ""))
    made = end_to_end_id(frame.ids, BANK_ISPB, Instant(frame.now()))
    return _Order(ref, centavos, _payee(frame, account, body, centavos), text, e2e_id or made)


def _payee(frame: Frame, account: Account, body: Mapping[str, Any], amount: int) -> Payee:
    """Return who is paid. Raises `EnvioRecusado` where no money could be sent there."""
    key, code = body.get("chave"), body.get("pixCopiaECola")
    if (key is None) == (code is None):
        raise Problem("EnvioInvalido", [Violation("Um de `chave` e `pixCopiaECola` é necessário.", "chave")])
    try:
        if key is None:
            payee = payee_of(frame, code=str(code), amount=amount)
        else:
            payee = payee_of(frame, key=detect(str(key)).value)
    except Refused:
        raise refused(BY_NUMBER[52].reason) from None
    if payee.account_id == account.id:
        raise refused(BY_NUMBER[57].reason)
    return payee


def refused(code: str) -> Problem:
    """Return the refusal of a payout at once, by a code of the rail or a word of this bank's."""
    return Problem("EnvioRecusado", more={"codigo": code.upper(), "motivo": _meaning(code)})


def _refuse_at_once(behaviour: payout_magic.Behaviour, account: Account, order: _Order) -> None:
    if behaviour.refused is not None:
        raise refused(behaviour.refused)


def _insert(frame: Frame, account: Account, order: _Order) -> Row:
    if frame.store.one("select 1 from payout where e2e_id = :e2e_id", e2e_id=order.e2e_id):
        raise refused("DUPL")
    row = frame.store.one(
        """
        insert into payout (account_id, ref, e2e_id, amount, status, payee_key, payee_txid, payee_name,
                            payee_document, payee_account_id, charge_id, text, created_at)
        values (:account_id, :ref, :e2e_id, :amount, 'EM_PROCESSAMENTO', :key, :txid, :name,
                :document, :payee_account_id, :charge_id, :text, :now)
        returning *
        """,
        account_id=account.id,
        ref=order.ref,
        e2e_id=order.e2e_id,
        amount=order.amount,
        key=order.payee.key,
        txid=order.payee.txid,
        name=order.payee.name,
        document=order.payee.document,
        payee_account_id=order.payee.account_id,
        charge_id=order.payee.charge_id,
        text=order.text,
        now=frame.now(),
    )
    assert row is not None  # noqa: S101 - an insert that did not raise returns its row
    return row


def _deliver(frame: Frame, payout: Row) -> None:
    """Have the money arrive where the recipient banks here too."""
    if payout["payee_account_id"] is None:
        return
    payer = frame.store.one("select name, document from account where id = :id", id=payout["account_id"])
    order: dict[str, Any] = {"e2e_id": payout["e2e_id"], "amount": payout["amount"], "message": payout["text"]}
    order["payer"] = {"name": payer["name"], "document": payer["document"]} if payer else {}
    if payout["charge_id"] is not None:
        charge = frame.store.one("select txid from charge where id = :id", id=payout["charge_id"])
        order |= {"txid": charge["txid"] if charge else "", "force": True}
    else:
        order |= {"key": payout["payee_key"], "label": payout["payee_txid"]}
    pay(frame, order, payout["payee_account_id"])


def _find(frame: Frame, account: Account, ref: str) -> Row | None:
    return frame.store.one(
        "select * from payout where account_id = :account_id and ref = :ref", account_id=account.id, ref=ref
    )


def _meaning(code: str) -> str:
    row = BY_CODE.get(code.upper())
    return row.meaning if row else code.replace("_", " ").lower()


def _return_document(row: Row) -> dict[str, Any]:
    return {
        "rtrId": row["rtr_id"],
        "valor": shown_amount(row["amount"]),
        "motivo": row["reason"],
        "horario": shown_at(row["settled_at"]),
    }
