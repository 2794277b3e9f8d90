"""Money that goes back to its payer: `devolucao` (pix-rail.md §11.2), and returns nobody asked for (§11.6)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import DAY, SECOND, Instant
from opentill.pix.identifiers import return_id
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.agenda import schedule
from opentill.sandbox_psp.announcing import announce
from opentill.sandbox_psp.frame import BANK_ISPB, Frame
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.receipts import owned, return_document
from opentill.sandbox_psp.store import Row

WINDOW: Final = 90 * DAY
TEXT_MAX: Final = 140  # characters
SETTLES_AFTER: Final = SECOND
NATURES: Final = ("ORIGINAL", "RETIRADA", "MED_OPERACIONAL", "MED_FRAUDE", "MED_PIX_AUTOMATICO")
ASKED_NATURES: Final = ("ORIGINAL", "RETIRADA")
FINAL: Final = ("DEVOLVIDO", "NAO_REALIZADO")

# Amounts that make a return behave in a certain way (pix-api.md §19.2).
REFUSED: Final = 113
FAILS: Final = 114
LOSES_ITS_ANSWER: Final = 115
TOO_LATE: Final = 116
WAITS: Final = 117
FAILURE: Final = "AC07: a conta do pagador foi encerrada."

BAD_ID: Final = Violation("O campo `devolucao.id` não respeita o _schema_.", "devolucao.id")
BAD_AMOUNT: Final = Violation("O campo `devolucao.valor` não respeita o _schema_.", "devolucao.valor")
BAD_NATURE: Final = Violation("O campo `devolucao.natureza` não respeita o _schema_.", "devolucao.natureza")
BAD_TEXT: Final = Violation("O campo `devolucao.descricao` não respeita o _schema_.", "devolucao.descricao")
TOO_MUCH: Final = Violation(
    "A presente requisição de devolução, em conjunto com as demais prévias devoluções, se aplicável, "
    "excederia o valor do pix originário.",
    "devolucao.valor",
)
USED: Final = Violation(
    "A presente requisição de devolução apresenta um `{id}` já utilizado por outra requisição de devolução "
    "para o `{e2eid}` em questão.",
    "devolucao.id",
)
WINDOW_OVER: Final = Violation(
    "A presente requisição de devolução viola a janela de tempo permitida para solicitações de devoluções de um pix "
    "(hoje estabelecida como 90 dias desde a data de liquidação original do pix).",
    "pix.horario",
)
NOT_NOW: Final = Violation("A presente requisição de devolução foi recusada pela instituição.", "devolucao")

_ID: Final = re.compile(r"[a-zA-Z0-9]{1,35}")
_AMOUNT: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /pix/{e2eid}/devolucao/{id}`: taken now, settled a second later."""
    receipt = owned(frame, account, request.parts[3])
    ref, body = request.parts[5], request.document
    violations = _violations(frame, receipt, ref, body)
    if violations:
        raise Problem("PixDevolucaoInvalida", violations)
    amount = _centavos(body["valor"])
    row = give_back(frame, receipt, ref, amount, body.get("natureza", "ORIGINAL"), body.get("descricao"))
    if amount != WAITS:
        ending = {"status": "NAO_REALIZADO", "reason": FAILURE} if amount == FAILS else {"status": "DEVOLVIDO"}
        schedule(frame, account.id, "settle return", {"id": row["id"]} | ending, delay_us=SETTLES_AFTER)
    return json_answer(201, return_document(row))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /pix/{e2eid}/devolucao/{id}`."""
    receipt = owned(frame, account, request.parts[3])
    row = _find(frame, receipt, request.parts[5])
    if row is None:
        raise Problem("PixDevolucaoNaoEncontrada")
    return json_answer(200, return_document(row))


def give_back(frame: Frame, receipt: Row, ref: str, amount: int, nature: str, text: str | None) -> Row:
    """Take a return into the books."""
    now = frame.now()
    row = frame.store.one(
        """
        insert into return (receipt_id, account_id, ref, rtr_id, amount, nature, text, status, requested_at)
        values (:receipt_id, :account_id, :ref, :rtr_id, :amount, :nature, :text, 'EM_PROCESSAMENTO', :now)
        returning *
        """,
        receipt_id=receipt["id"],
        account_id=receipt["account_id"],
        ref=ref,
        rtr_id=return_id(frame.ids, BANK_ISPB, Instant(now)),
        amount=amount,
        nature=nature,
        text=text,
        now=now,
    )
    assert row is not None  # noqa: S101 - an insert that did not raise returns its row
    return row


def settle(frame: Frame, number: int, status: str, reason: str | None = None, *, copies: int = 1) -> None:
    """End a return that is in progress, and announce it. One that has ended stays as it is."""
    changed = frame.store.run(
        """
        update return set status = :status, reason = :reason, settled_at = :now
         where id = :id and status = 'EM_PROCESSAMENTO'
        """,
        id=number,
        status=status,
        reason=reason,
        now=frame.now(),
    )
    receipt = frame.store.one(
        "select receipt.* from receipt join return on receipt_id = receipt.id where return.id = :id", id=number
    )
    if changed and receipt is not None:
        announce(frame, receipt, copies, with_returns=True)


def return_unasked(frame: Frame, receipt: Row, amount: int, nature: str, *, copies: int = 1) -> str:
    """Have the bank return a part of a receipt by itself; return the return's name."""
    if nature not in NATURES or not 0 < amount <= receipt["amount"] - _returned(frame, receipt):
        raise Problem("PixDevolucaoInvalida", [TOO_MUCH])
    ref = f"PSP{frame.ids.alnum(20)}"
    row = give_back(frame, receipt, ref, amount, nature, None)
    settle(frame, row["id"], "DEVOLVIDO", copies=copies)
    return ref


def settle_named(frame: Frame, e2e_id: str, ref: str, status: str, reason: str | None) -> None:
    """End a return by its name. Raises `PixDevolucaoNaoEncontrada`, `RequisicaoInvalida`."""
    row = frame.store.one(
        """
        select return.id from return join receipt on receipt.id = receipt_id
         where receipt.e2e_id = :e2e_id and return.ref = :ref
        """,
        e2e_id=e2e_id,
        ref=ref,
    )
    if row is None:
        raise Problem("PixDevolucaoNaoEncontrada")
    if status not in FINAL:
        raise Problem("RequisicaoInvalida")
    settle(frame, row["id"], status, reason)


def _violations(frame: Frame, receipt: Row, ref: str, body: Mapping[str, Any]) -> list[Violation]:
    text = body.get("descricao")
    found = [
        BAD_ID if not _ID.fullmatch(ref) else None,
        BAD_AMOUNT if not _is_amount(body.get("valor")) else None,
        BAD_NATURE if body.get("natureza", "ORIGINAL") not in ASKED_NATURES else None,
        BAD_TEXT if text is not None and not (isinstance(text, str) and len(text) <= TEXT_MAX) else None,
    ]
    return [violation for violation in found if violation is not None] or _semantic(frame, receipt, ref, body)


def _semantic(frame: Frame, receipt: Row, ref: str, body: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with a return that is well written."""
    amount = _centavos(body["valor"])
    if _find(frame, receipt, ref) is not None:
        return [USED]
    if frame.now() - receipt["settled_at"] > WINDOW or amount == TOO_LATE:
        return [WINDOW_OVER]
    if amount == REFUSED:
        return [NOT_NOW]
    return [TOO_MUCH] if amount > receipt["amount"] - _returned(frame, receipt) else []


def _is_amount(value: object) -> bool:
    return isinstance(value, str) and _AMOUNT.fullmatch(value) is not None and value.strip("0.") != ""


def _centavos(text: str) -> int:
    return int(text.replace(".", ""))


def _returned(frame: Frame, receipt: Row) -> int:
    """Return how much of a receipt has gone back or is about to."""
    row = frame.store.one(
        "select coalesce(sum(amount), 0) as total from return where receipt_id = :id and status <> 'NAO_REALIZADO'",
        id=receipt["id"],
    )
    return int(row["total"]) if row else 0


def _find(frame: Frame, receipt: Row, ref: str) -> Row | None:
    return frame.store.one(
        "select * from return where receipt_id = :receipt_id and ref = :ref", receipt_id=receipt["id"], ref=ref
    )
