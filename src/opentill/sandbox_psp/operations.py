"""The bank's operations by method and path, each with its scope and the name its faults go by."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from opentill.sandbox_psp import (
    charges,
    due_charges,
    faults,
    infractions,
    locations,
    magic,
    payout_magic,
    payouts,
    quirks,
    receipts,
    returns,
    statement,
    webhooks,
)
from opentill.sandbox_psp.accounts import Account, require_scope
from opentill.sandbox_psp.faults import Fault
from opentill.sandbox_psp.frame import Frame, shown_amount
from opentill.sandbox_psp.http import BROKEN, Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation, named

Handler = Callable[[Frame, Account, Request], Answer]

REFERENCE_HEADER: Final = "x-sandbox-reference"
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
    """An answer, how long it is held back, and the txid or reference that is announced before it goes out."""

    answer: Answer
    held_s: float = 0.0
    told_before: str = ""


OPERATIONS: Final = {
    "PUT api/cob/*": Operation(charges.put, "cob.write", "charge.create"),
    "PATCH api/cob/*": Operation(charges.patch, "cob.write", "charge.cancel"),
    "GET api/cob/*": Operation(charges.read, "cob.read", "charge.read"),
    "GET api/cob": Operation(charges.listed, "cob.read"),
    "PUT api/cobv/*": Operation(due_charges.put, "cobv.write", "charge.create"),
    "PATCH api/cobv/*": Operation(due_charges.patch, "cobv.write", "charge.cancel"),
    "GET api/cobv/*": Operation(due_charges.read, "cobv.read", "charge.read"),
    "GET api/cobv": Operation(due_charges.listed, "cobv.read"),
    "POST api/loc": Operation(locations.post, "payloadlocation.write"),
    "GET api/loc/*": Operation(locations.read, "payloadlocation.read"),
    "GET api/loc": Operation(locations.listed, "payloadlocation.read"),
    "DELETE api/loc/*/txid": Operation(locations.unbind, "payloadlocation.write"),
    "GET api/pix/*": Operation(receipts.read, "pix.read", "receipt.read"),
    "GET api/pix": Operation(receipts.listed, "pix.read", "sweep.read"),
    "PUT api/pix/*/devolucao/*": Operation(returns.put, "pix.write", "refund.submit"),
    "GET api/pix/*/devolucao/*": Operation(returns.read, "pix.read", "refund.query"),
    "PUT api/webhook/*": Operation(webhooks.put, "webhook.write"),
    "GET api/webhook/*": Operation(webhooks.read, "webhook.read"),
    "DELETE api/webhook/*": Operation(webhooks.remove, "webhook.write"),
    "GET api/webhook": Operation(webhooks.listed, "webhook.read"),
    "PUT envio/pix/*": Operation(payouts.put, "envio.write", "payout.submit"),
    "GET envio/pix/*": Operation(payouts.read, "envio.read", "payout.query"),
    "POST envio/decodificar": Operation(payouts.decode, "envio.read"),
    "GET envio/saldo": Operation(statement.balance, "envio.read"),
    "GET envio/extrato": Operation(statement.listed, "envio.read"),
    "GET envio/infracoes": Operation(infractions.listed, "envio.read"),
    "GET envio/infracoes/*": Operation(infractions.read, "envio.read"),
    "POST envio/infracoes/*/defesa": Operation(infractions.defend, "envio.write"),
}


def perform(frame: Frame, account: Account, request: Request, break_after_s: float) -> Outcome:
    """Answer a request of one of the bank's APIs, with whatever is scripted to go wrong. Raises `Problem`."""
    operation = OPERATIONS.get(_name(request))
    if operation is None:
        raise Problem("NaoEncontrado")
    require_scope(account, operation.scope)
    about = _about(operation, request)
    if (external_id := request.headers.get(REFERENCE_HEADER)) is not None:
        faults.note_reference(frame, account.id, about["txid"], external_id)
    fault = _fault(frame, account, operation, about)
    outcome = with_fault(fault, lambda: operation.handler(frame, account, request), break_after_s)
    if request.parts[0] == "api":
        outcome = replace(outcome, answer=quirks.mannered(frame, outcome.answer))
    first = _ANNOUNCED_FIRST.get(operation.fault_name) == about["amount"]
    return replace(outcome, told_before=about["txid"]) if first and fault is None else outcome


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
            return Outcome(_told_twice(carry_out))
        case Fault("wrong_amount"):
            return Outcome(_one_centavo_off(carry_out()))
        case Fault(kind):
            return Outcome(_status_answer(int(kind.removeprefix("http_"))))


_ANNOUNCED_FIRST: Final = {
    "charge.create": str(magic.PAID_BEFORE_ANSWER),
    "payout.submit": str(payout_magic.CONFIRMED_FIRST),
}
_AMOUNT_AT: Final = {"charge.create": ("valor", "original"), "refund.submit": ("valor",), "payout.submit": ("valor",)}
_BY_AMOUNT: Final = {
    "charge.create": magic.CREATION_FAULTS,
    "refund.submit": {returns.LOSES_ITS_ANSWER: "timeout_after"},
    "payout.submit": payout_magic.SUBMIT_FAULTS,
}


def _name(request: Request) -> str:
    """Return the name of an operation: every second part of its path is somebody's id."""
    parts = [part if number % 2 == 0 else "*" for number, part in enumerate(request.parts[2:])]
    return f"{request.method} {'/'.join([request.parts[0], *parts])}"


def _about(operation: Operation, request: Request) -> dict[str, str]:
    """Return what a request is about, for faults to be matched with."""
    last = request.parts[-1]
    e2e_id = request.parts[3] if "/devolucao/" in request.target else last
    about = {"txid": last, "ref": last, "e2e_id": e2e_id, "amount": ""}
    path = _AMOUNT_AT.get(operation.fault_name)
    if path is not None:
        value: object = request.document
        for member in path:
            value = value.get(member) if isinstance(value, dict) else None
        about["amount"] = str(value).replace(".", "").lstrip("0")
    return about


def _fault(frame: Frame, account: Account, operation: Operation, about: dict[str, str]) -> Fault | None:
    if not operation.fault_name:
        return None
    scripted = faults.take(frame, account.id, operation.fault_name, about)
    if scripted is not None:
        return scripted
    kind = None
    if operation.fault_name == "charge.read":
        kind = magic.read_fault(frame, account.id, about["txid"])
    elif about["amount"].isdecimal():
        asked = _BY_AMOUNT.get(operation.fault_name, {}).get(int(about["amount"]))
        kind = magic.submission_fault(frame, account.id, about["txid"], asked) if asked else None
    return Fault(kind) if kind else None


def _told_twice(carry_out: Callable[[], Answer]) -> Answer:
    """Carry out once and answer as to a repetition. Only a charge's would be an update, so it is refused here."""
    first = carry_out()
    if b'"revisao"' in first.body:
        raise Problem("CobOperacaoInvalida", [ALREADY])
    return carry_out()


def _status_answer(status: int) -> Answer:
    problem = Problem(named(status), status=status)
    answer = json_answer(status, problem.document("scripted"), "application/problem+json")
    if status in (429, 503):
        answer.headers.append((b"retry-after", b"1"))
    return answer


def _one_centavo_off(answer: Answer) -> Answer:
    document = json.loads(answer.body)
    item = (document.get("pix") or [document])[0] if "parametros" in document else document
    if "valor" not in item:  # an empty page has no amount to be wrong about
        return answer
    holder, member = (item["valor"], "original") if isinstance(item.get("valor"), dict) else (item, "valor")
    centavos = int(holder[member].replace(".", "")) + 1
    holder[member] = shown_amount(centavos)
    return json_answer(answer.status, document)
