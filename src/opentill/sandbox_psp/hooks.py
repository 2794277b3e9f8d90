"""What a real bank has not: the payer's hand, and a script of what goes wrong (pix-rail.md §11.6)."""

from collections.abc import Callable
from typing import Any, Final

from opentill.kernel.errors import Refused
from opentill.sandbox_psp import faults
from opentill.sandbox_psp.accounts import SCOPES, account_id_of, open_account
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import pay

SHOWN_MAX: Final = 1_000  # rows of each kind
NUMBER_MAX: Final = 999_999_999_999
COPIES: Final = {"never": 0, "now": 1, "twice": 2}

Hook = Callable[[Frame, Request], Answer]


def put_account(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/accounts`: open an account, or bring it up to date."""
    asked = request.document
    try:
        open_account(
            frame,
            client_id=_text(asked, "client_id"),
            client_secret=_text(asked, "client_secret"),
            document=_text(asked, "document"),
            name=_text(asked, "name"),
            city=_text(asked, "city"),
            keys=asked.get("keys") or [],
            scopes=asked.get("scopes") or SCOPES,
        )
    except Refused as refused:
        return _refusal(refused.code, refused.message)
    return json_answer(200, {"client_id": asked["client_id"]})


def post_payment(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/pay`: a payer pays."""
    order = dict(request.document)
    notify = order.pop("notify", "now")
    if notify not in COPIES:
        return _refusal("bad_notify", "notify is never, now or twice")
    order["copies"] = COPIES[notify]
    for name, least in (("amount", 1), ("count", 1), ("delay_ms", 0)):
        value = order.get(name, least)
        if type(value) is not int or not least <= value <= NUMBER_MAX:
            return _refusal("bad_number", f"{name} is a whole number from {least}")
    payer = order.get("payer") or {}
    texts = [payer.get("name", ""), payer.get("document", ""), order.get("message") or ""]
    if not all(isinstance(text, str) for text in texts):
        return _refusal("bad_text", "the payer's name and document and the message are texts")
    ids = pay(frame, order, account_id_of(frame, order.pop("client_id", None)))
    return json_answer(200, {"e2e_ids": ids})


def post_fault(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/faults`."""
    asked = request.document
    try:
        fault_id = faults.add(frame, account_id_of(frame, asked.get("client_id")), asked)
    except faults.UnknownFault:
        return _refusal("bad_fault", "fault is invalid")
    return json_answer(200, {"id": fault_id})


def get_faults(frame: Frame, request: Request) -> Answer:
    """`GET /_sim/faults`: those still to come."""
    return json_answer(200, {"faults": faults.listed(frame, _queried_account(frame, request))})


def delete_faults(frame: Frame, request: Request) -> Answer:
    """`DELETE /_sim/faults`."""
    faults.clear(frame, _queried_account(frame, request))
    return Answer(204)


def get_requests(frame: Frame, _request: Request) -> Answer:
    """`GET /_sim/requests`: what arrived, in order."""
    rows = frame.store.all("select * from request order by id desc limit :most", most=SHOWN_MAX)
    shown = [
        {
            "at": shown_at(row["at"]),
            "method": row["method"],
            "path": row["path"],
            "body": row["body"],
            "status": row["status"],
        }
        for row in reversed(rows)
    ]
    return json_answer(200, {"requests": shown})


def get_state(frame: Frame, _request: Request) -> Answer:
    """`GET /_sim/state`: what the bank holds, and how often each creation was carried out."""
    charges = frame.store.all("select * from charge order by id desc limit :most", most=SHOWN_MAX)
    receipts = frame.store.all("select * from receipt order by id desc limit :most", most=SHOWN_MAX)
    state = {
        "charges": [
            {
                "txid": row["txid"],
                "status": row["status"],
                "valor": shown_amount(row["amount"]),
                "revisao": row["revision"],
                "executions": row["executions"],
            }
            for row in reversed(charges)
        ],
        "receipts": [
            {"endToEndId": row["e2e_id"], "txid": row["txid"], "valor": shown_amount(row["amount"])}
            for row in reversed(receipts)
        ],
    }
    return json_answer(200, state)


def reset(frame: Frame, _request: Request) -> Answer:
    """`POST /_sim/reset`: start over. Accounts, keys and webhooks stay, as their owners still count on them."""
    for table in ("effect", "receipt", "charge_revision", "charge", "creation", "fault", "request"):
        frame.store.run(f"delete from {table}")
    return Answer(204)


HOOKS: Final[dict[tuple[str, str], Hook]] = {
    ("POST", "accounts"): put_account,
    ("POST", "pay"): post_payment,
    ("POST", "faults"): post_fault,
    ("GET", "faults"): get_faults,
    ("DELETE", "faults"): delete_faults,
    ("GET", "requests"): get_requests,
    ("GET", "state"): get_state,
    ("POST", "reset"): reset,
}


def _queried_account(frame: Frame, request: Request) -> int | None:
    return account_id_of(frame, request.query.get("client_id"))


def _text(asked: dict[str, Any], member: str) -> str:
    value = asked.get(member)
    if not isinstance(value, str) or not value:
        raise Problem("RequisicaoInvalida")
    return value


def _refusal(code: str, message: str) -> Answer:
    return json_answer(422, {"code": code, "message": message})
