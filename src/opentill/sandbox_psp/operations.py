"""The bank's operations by method and path, each with its scope and the name its faults go by."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from opentill.sandbox_psp import charges, faults, magic, receipts, webhooks
from opentill.sandbox_psp.accounts import Account, require_scope
from opentill.sandbox_psp.faults import Fault
from opentill.sandbox_psp.frame import Frame, shown_amount
from opentill.sandbox_psp.http import BROKEN, Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation, named

Handler = Callable[[Frame, Account, Request], Answer]

HTML: Final = Answer(200, b"<html><body>Em manuten\xc3\xa7\xc3\xa3o</body></html>", "text/html; charset=utf-8")
ALREADY: Final = Violation("A cobrança já existe.", "cob.txid")


@dataclass(frozen=True, slots=True)
class Operation:
    """What answers a request, the scope it needs, and what a fault for it is scripted under."""

    handler: Handler
    scope: str
    fault_name: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, how long it is held back, and the txid whose payment is announced before it goes out."""

    answer: Answer
    held_s: float = 0.0
    told_before: str = ""


OPERATIONS: Final = {
    ("PUT", "cob", 2): Operation(charges.put, "cob.write", "charge.create"),
    ("PATCH", "cob", 2): Operation(charges.patch, "cob.write", "charge.cancel"),
    ("GET", "cob", 2): Operation(charges.read, "cob.read", "charge.read"),
    ("GET", "cob", 1): Operation(charges.listed, "cob.read"),
    ("GET", "pix", 2): Operation(receipts.read, "pix.read", "receipt.read"),
    ("GET", "pix", 1): Operation(receipts.listed, "pix.read", "sweep.read"),
    ("PUT", "webhook", 2): Operation(webhooks.put, "webhook.write"),
    ("GET", "webhook", 2): Operation(webhooks.read, "webhook.read"),
    ("DELETE", "webhook", 2): Operation(webhooks.remove, "webhook.write"),
    ("GET", "webhook", 1): Operation(webhooks.listed, "webhook.read"),
}


def perform(frame: Frame, account: Account, request: Request, break_after_s: float) -> Outcome:
    """Answer a request of the document, with whatever is scripted to go wrong. Raises `Problem`."""
    path = request.parts[2:]
    operation = OPERATIONS.get((request.method, path[0] if path else "", len(path)))
    if operation is None:
        raise Problem("NaoEncontrado")
    require_scope(account, operation.scope)
    about = _about(operation, request)
    fault = _fault(frame, account, operation, about)
    outcome = with_fault(fault, lambda: operation.handler(frame, account, request), break_after_s)
    paid_first = operation.fault_name == "charge.create" and about["amount"] == str(magic.PAID_BEFORE_ANSWER)
    return replace(outcome, told_before=about["txid"]) if paid_first and fault is None else outcome


def with_fault(fault: Fault | None, carry_out: Callable[[], Answer], break_after_s: float) -> Outcome:
    """Carry out a request and answer it, with a fault or without. Raises `Problem`."""
    match fault:
        case None:
            return Outcome(carry_out())
        case Fault("timeout_before"):
            return Outcome(BROKEN, break_after_s)
        case Fault("timeout_after" | "drop"):
            carry_out()
            return Outcome(BROKEN, break_after_s)
        case Fault("delay", delay_ms):
            return Outcome(carry_out(), delay_ms / 1_000)
        case Fault("html_200"):
            return Outcome(HTML)
        case Fault("truncated"):
            whole = carry_out()
            return Outcome(Answer(whole.status, whole.body[: len(whole.body) // 2], whole.content_type))
        case Fault("duplicate"):
            carry_out()
            raise Problem("CobOperacaoInvalida", [ALREADY])
        case Fault("wrong_amount"):
            return Outcome(_one_centavo_off(carry_out()))
        case Fault(kind):
            return Outcome(_status_answer(int(kind.removeprefix("http_"))))


def _about(operation: Operation, request: Request) -> dict[str, str]:
    """Return what a request is about, for faults to be matched with."""
    about = {"txid": request.parts[-1], "e2e_id": request.parts[-1], "amount": ""}
    if operation.fault_name == "charge.create":
        value = request.document.get("valor")
        original = value.get("original") if isinstance(value, dict) else None
        about["amount"] = str(original).replace(".", "").lstrip("0")
    return about


def _fault(frame: Frame, account: Account, operation: Operation, about: dict[str, str]) -> Fault | None:
    if not operation.fault_name:
        return None
    scripted = faults.take(frame, account.id, operation.fault_name, about)
    if scripted is not None:
        return scripted
    kind = None
    if operation.fault_name == "charge.create" and about["amount"].isdecimal():
        kind = magic.creation_fault(frame, account.id, about["txid"], int(about["amount"]))
    elif operation.fault_name == "charge.read":
        kind = magic.read_fault(frame, account.id, about["txid"])
    return Fault(kind) if kind else None


def _status_answer(status: int) -> Answer:
    problem = Problem(named(status), status=status)
    answer = json_answer(status, problem.document("scripted"), "application/problem+json")
    if status in (429, 503):
        answer.headers.append((b"retry-after", b"1"))
    return answer


def _one_centavo_off(answer: Answer) -> Answer:
    document = json.loads(answer.body)
    item = (document.get("pix") or [document])[0] if "parametros" in document else document
    holder, member = (item["valor"], "original") if isinstance(item.get("valor"), dict) else (item, "valor")
    centavos = int(holder[member].replace(".", "")) + 1
    holder[member] = shown_amount(centavos)
    return json_answer(answer.status, document)
