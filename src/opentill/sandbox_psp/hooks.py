"""What a real bank has not: the payer's hand, and a script of what goes wrong (pix-rail.md §11.6)."""

from collections.abc import Callable
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.kernel.errors import Refused
from opentill.sandbox_psp import faults, infractions, payouts, quirks, returns
from opentill.sandbox_psp.accounts import SCOPES, account_id_of, open_account
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import pay
from opentill.sandbox_psp.store import Row

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


def post_return(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/returns`: the bank returns a receipt, or a part of it, that nobody asked it to."""
    asked = request.document
    receipt = _receipt(frame, asked)
    amount = _whole_number(asked, "amount", receipt["amount"])
    copies = COPIES.get(asked.get("notify", "now"), 1)
    ref = returns.return_unasked(frame, receipt, amount, asked.get("nature", "ORIGINAL"), copies=copies)
    return json_answer(200, {"id": ref})


def settle_return(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/returns/{e2e_id}/{id}/settle`: end a return in progress."""
    asked = request.document
    _, _, e2e_id, ref, _ = request.parts
    returns.settle_named(frame, e2e_id, ref, asked.get("status", "DEVOLVIDO"), asked.get("reason"))
    return json_answer(200, {})


def settle_payout(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/payouts/{ref}/settle`: end a payout in progress, `{status, code?}`."""
    asked = request.document
    status, code = asked.get("status", "REALIZADO"), asked.get("code")
    moved = status in payouts.FINAL and payouts.settle(frame, _payout(frame, request), status, code)
    return json_answer(200, {}) if moved else _refusal("bad_state", "the payout has ended, or cannot end like this")


def return_payout(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/payouts/{ref}/return`: its recipient returns a payout, all that is left unless told how much."""
    asked = request.document
    amount = _whole_number(asked, "amount", 0) or None
    reason = str(asked.get("reason") or "Devolvido pelo recebedor.")
    return json_answer(200, {"rtrId": payouts.give_back(frame, _payout(frame, request), amount, reason)})


def post_infraction(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/infractions`: a payer contests a receipt, `{e2e_id, amount?, reason?}`."""
    asked = request.document
    amount = _whole_number(asked, "amount", 0) or None
    name = infractions.open_infraction(frame, _receipt(frame, asked), amount, asked.get("reason", "FRAUD"))
    return json_answer(200, {"id": name})


def resolve_infraction(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/infractions/{id}/resolve`: close a contest, `{result, amount?}`."""
    asked = request.document
    amount = _whole_number(asked, "amount", 0) if "amount" in asked else None
    infractions.resolve(frame, request.parts[2], str(asked.get("result")), amount)
    return json_answer(200, {})


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


def post_quirks(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/quirks`: take on the manners of other banks, `{name: true or false}`."""
    if not quirks.choose(frame, request.document):
        return _refusal("bad_quirk", f"quirks are {', '.join(quirks.NAMES)}")
    return json_answer(200, {"quirks": sorted(quirks.chosen(frame))})


def post_clock(frame: Frame, request: Request) -> Answer:
    """`POST /_sim/clock`: let time pass at the bank, `{advance_seconds}`."""
    if not frame.clock.advance(_whole_number(request.document, "advance_seconds", 0) * SECOND):
        return _refusal("bad_number", "the clock is at most a hundred years ahead")
    return json_answer(200, {"now": shown_at(frame.now())})


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
    sent = frame.store.all("select * from payout order by id desc limit :most", most=SHOWN_MAX)
    given_back = frame.store.all(
        """
        select return.*, receipt.e2e_id from return join receipt on receipt.id = receipt_id
         order by return.id desc limit :most
        """,
        most=SHOWN_MAX,
    )
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
        # Each row was carried out once: reference and name are unique in the books.
        "payouts": [
            {
                "ref": row["ref"],
                "endToEndId": row["e2e_id"],
                "status": row["status"],
                "valor": shown_amount(row["amount"]),
            }
            for row in reversed(sent)
        ],
        "returns": [
            {
                "id": row["ref"],
                "endToEndId": row["e2e_id"],
                "rtrId": row["rtr_id"],
                "status": row["status"],
                "valor": shown_amount(row["amount"]),
            }
            for row in reversed(given_back)
        ],
    }
    return json_answer(200, state)


def reset(frame: Frame, _request: Request) -> Answer:
    """`POST /_sim/reset`: start over. Accounts, keys and webhooks stay, as their owners still count on them."""
    quirks.forget(frame)
    frame.clock.reset()
    for table in _FORGOTTEN:
        frame.store.run(f"delete from {table}")
    return Answer(204)


HOOKS: Final[dict[str, Hook]] = {
    "POST accounts": put_account,
    "POST pay": post_payment,
    "POST returns": post_return,
    "POST returns/*/*/settle": settle_return,
    "POST payouts/*/settle": settle_payout,
    "POST payouts/*/return": return_payout,
    "POST infractions": post_infraction,
    "POST infractions/*/resolve": resolve_infraction,
    "POST faults": post_fault,
    "GET faults": get_faults,
    "DELETE faults": delete_faults,
    "POST quirks": post_quirks,
    "POST clock": post_clock,
    "GET requests": get_requests,
    "GET state": get_state,
    "POST reset": reset,
}
# Those that refer to others come first.
_FORGOTTEN: Final = (
    *("effect", "infraction", "return", "payout_return", "payout", "receipt"),
    *("charge_revision", "location", "charge", "creation", "fault", "reference", "request"),
)


def find_hook(method: str, names: list[str]) -> Hook | None:
    """Return the hook of a path; between its first and last word are ids."""
    inner = ["*"] * (len(names) - 2)
    return HOOKS.get(f"{method} {'/'.join([names[0], *inner, names[-1]] if len(names) > 1 else names)}")


def _receipt(frame: Frame, asked: dict[str, Any]) -> Row:
    row = frame.store.one("select * from receipt where e2e_id = :e2e_id", e2e_id=_text(asked, "e2e_id"))
    if row is None:
        raise Problem("PixNaoEncontrado")
    return row


def _payout(frame: Frame, request: Request) -> Row:
    row = frame.store.one("select * from payout where ref = :ref", ref=request.parts[2])
    if row is None:
        raise Problem("EnvioNaoEncontrado")
    return row


def _whole_number(asked: dict[str, Any], member: str, default: int) -> int:
    value = asked.get(member, default)
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise Problem("RequisicaoInvalida")
    return value


def _queried_account(frame: Frame, request: Request) -> int | None:
    return account_id_of(frame, request.query.get("client_id"))


def _text(asked: dict[str, Any], member: str) -> str:
    value = asked.get(member)
    if not isinstance(value, str) or not value:
        raise Problem("RequisicaoInvalida")
    return value


def _refusal(code: str, message: str) -> Answer:
    return json_answer(422, {"code": code, "message": message})
