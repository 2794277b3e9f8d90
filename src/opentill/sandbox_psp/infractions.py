"""Contested receipts, the MED: `/envio/v1/infracoes`, in a shape of this bank's own (pix-rail.md §9, §11.5)."""

from typing import Any, Final

from opentill.kernel.clock import HOUR
from opentill.sandbox_psp import paging
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.announcing import announce_infraction
from opentill.sandbox_psp.frame import PAYERS_ISPB, Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.returns import return_unasked
from opentill.sandbox_psp.store import Row

DEFENCE_WITHIN: Final = 72 * HOUR
REASONS: Final = {"FRAUD": "FRAUDE", "OPERATIONAL_FLAW": "FALHA_OPERACIONAL"}
RESULTS: Final = {"AGREED": "ACEITA", "DISAGREED": "REJEITADA", "CANCELLED": "CANCELADA"}
NATURES: Final = {"FRAUDE": "MED_FRAUDE", "FALHA_OPERACIONAL": "MED_OPERACIONAL"}


def open_infraction(frame: Frame, receipt: Row, amount: int | None, reason: str) -> str:
    """Have the payer contest a receipt; return the contest's name. Raises `RequisicaoInvalida`."""
    contested = receipt["amount"] if amount is None else amount
    if reason not in REASONS or not 0 < contested <= receipt["amount"]:
        raise Problem("RequisicaoInvalida")
    now, name = frame.now(), frame.ids.uuid7()
    number = frame.store.insert(
        """
        insert into infraction (name, account_id, receipt_id, amount, reason, status, opened_at, changed_at, defence_by)
        values (:name, :account_id, :receipt_id, :amount, :reason, 'ABERTA', :now, :now, :defence_by)
        """,
        name=name,
        account_id=receipt["account_id"],
        receipt_id=receipt["id"],
        amount=contested,
        reason=REASONS[reason],
        now=now,
        defence_by=now + DEFENCE_WITHIN,
    )
    announce_infraction(frame, receipt["account_id"], number)
    return name


def resolve(frame: Frame, name: str, result: str, amount: int | None = None) -> None:
    """Close a contest; money goes back where the banks agreed, all that is contested unless told how much."""
    row = frame.store.one("select * from infraction where name = :name", name=name)
    if row is None:
        raise Problem("NaoEncontrado")
    if row["status"] not in ("ABERTA", "EM_DEFESA") or result not in RESULTS:
        raise Problem("RequisicaoInvalida")
    frame.store.run(
        "update infraction set status = :status, changed_at = :now, resolved_at = :now where id = :id",
        id=row["id"],
        status=RESULTS[result],
        now=frame.now(),
    )
    announce_infraction(frame, row["account_id"], row["id"])
    if result == "AGREED":
        receipt = frame.store.all("select * from receipt where id = :id", id=row["receipt_id"])[0]
        back = row["amount"] if amount is None else amount
        if back:
            return_unasked(frame, receipt, back, NATURES[row["reason"]])


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /envio/v1/infracoes`: those opened or changed in a window, oldest first."""
    window = paging.read_window(request.query, "EnvioConsultaInvalida")
    tail = """
        from infraction
       where account_id = :account_id and changed_at between :start and :end
       order by changed_at, id
    """
    rows, paged = paging.page(frame, window, tail, {"account_id": account.id})
    shown = paging.echoed(request.query, window, paged)
    return json_answer(200, {"parametros": shown, "infracoes": [infraction_document(frame, row) for row in rows]})


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /envio/v1/infracoes/{id}`."""
    return json_answer(200, infraction_document(frame, _owned(frame, account, request.parts[3])))


def defend(frame: Frame, account: Account, request: Request) -> Answer:
    """`POST /envio/v1/infracoes/{id}/defesa`. The same defence again changes nothing."""
    row, body = _owned(frame, account, request.parts[3]), request.document
    defence = render({"texto": body.get("texto"), "evidencias": body.get("evidencias") or []})
    if not isinstance(body.get("texto"), str) or not body["texto"]:
        raise Problem("EnvioInvalido", [Violation("O campo `texto` não respeita o _schema_.", "texto")])
    if row["defence"] != defence:
        if row["status"] != "ABERTA" or frame.now() > row["defence_by"]:
            raise Problem("EnvioInvalido", [Violation("A infração não admite defesa.", "status")])
        frame.store.run(
            "update infraction set status = 'EM_DEFESA', defence = :defence, changed_at = :now where id = :id",
            id=row["id"],
            defence=defence,
            now=frame.now(),
        )
    return json_answer(200, infraction_document(frame, _owned(frame, account, request.parts[3])))


def infraction_document(frame: Frame, row: Row) -> dict[str, Any]:
    """Return a contest as the bank shows it."""
    receipt = frame.store.all("select e2e_id from receipt where id = :id", id=row["receipt_id"])[0]
    shown = {
        "id": row["name"],
        "endToEndId": receipt["e2e_id"],
        "tipo": "SOLICITACAO_DEVOLUCAO",
        "valor": shown_amount(row["amount"]),
        "motivo": row["reason"],
        "status": row["status"],
        "ispbContraparte": PAYERS_ISPB,
        "criacao": shown_at(row["opened_at"]),
        "alteracao": shown_at(row["changed_at"]),
        "prazoDefesa": shown_at(row["defence_by"]),
    }
    return shown | {"encerramento": shown_at(row["resolved_at"])} if row["resolved_at"] is not None else shown


def _owned(frame: Frame, account: Account, name: str) -> Row:
    row = frame.store.one(
        "select * from infraction where name = :name and account_id = :account_id", name=name, account_id=account.id
    )
    if row is None:
        raise Problem("InfracaoNaoEncontrada")
    return row
