"""/sandbox: what a developer has happen at the sandbox bank (pix-api.md §19.1, §19.4).

Live credentials find nothing here. What happens reaches the books as a real bank's news do, a moment later.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from opentill.api.external import sandbox_documents as documents
from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, wrong
from opentill.api.external.fields import amount, text, whole
from opentill.api.external.once import answered_before, once
from opentill.db import Tx
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.payments.infractions import service as infractions
from opentill.payments.infractions.model import UNDECIDED
from opentill.payments.pix import queries, sandbox
from opentill.pix.documents import is_cnpj, is_cpf
from opentill.pix.identifiers import charge_id_of, provider_txid
from opentill.pix.model import LIVE, Account, Charge
from opentill.pix.payouts import service as payouts
from opentill.pix.rejections import BY_CODE
from opentill.pix.service import check_key, credentials_of
from opentill.web.exchange import Answer
from opentill.web.routes import SANDBOX, Operation
from opentill.web.sandbox_bank import SandboxDesk

COPIES: Final = {"now": 1, "never": 0, "twice": 2}
RESULTS: Final = ("AGREED", "DISAGREED", "CANCELLED")
REASONS: Final = ("FRAUD", "OPERATIONAL_FLAW")
OUTCOMES: Final = ("completed", "failed")
COUNT_MAX: Final = 100
DELAY_MS_MAX: Final = 86_400_000
FAULT_DELAY_MS_MAX: Final = 60_000
FAULTS_AT_ONCE_MAX: Final = 1_000
TEXT_MAX: Final = 140  # characters
LABEL_MAX: Final = 35
RETURN_REASON: Final = "MD06"
UNKNOWN: Final = "Transaction not found"
PROCESSED: Final = "Transaction has already been processed"

T = TypeVar("T")
Fields = dict[str, Any]


async def pay(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """Have a payer pay a charge, in whatever state it is: money is final, so it arrives."""
    order: Fields = {}
    if call.fields.get("amount") is not None:
        order["amount"] = amount(call.fields).minor
    order["count"] = _number(call, "count", 1, least=1, most=COUNT_MAX)
    order["copies"] = COPIES[_word(call, "notify", tuple(COPIES)) or "now"]
    order["payer"] = _payer(call)
    order["delay_ms"] = _number(call, "delay_ms", 0, least=0, most=DELAY_MS_MAX)
    charge = await _charge(call)
    return {"end_to_end_ids": list(desk.pay_charge(provider_txid(charge.id), order))}


async def expire(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """Let the time of a charge be over now."""
    owner, tools = call.by.owner, call.dependencies.tools
    charge = await tools.db.read(lambda tx: sandbox.find_live_charge(tx, call.values["id"], owner=owner))
    desk.end_charge(provider_txid(charge.id))
    ended = await sandbox.expire(tools, charge)
    return {"transaction_id": ended.id, "status": "pending" if ended.state in LIVE else ended.state.value}


async def receive(call: ExternalCall, desk: SandboxDesk, account: Account) -> Fields:
    """Have money arrive on a key, without a charge."""
    key = _required(call, "pix_key").strip()
    centavos = amount(call.fields).minor
    label = text(call.fields, "label", characters_max=LABEL_MAX) or None
    deps, now = call.dependencies, call.arrived_at
    await deps.db.read(lambda tx: check_key(tx, key, owner=account.owner))
    e2e_id = desk.pay_key(key, centavos, label=label)
    if label is None:  # banks tell nobody of such money
        await deps.db.write(lambda tx: sandbox.note_receipt(tx, account, e2e_id, now=now))
    return {"end_to_end_ids": [e2e_id]}


async def fund(call: ExternalCall, desk: SandboxDesk, account: Account) -> Fields:
    """Credit test money."""
    credited, deps = amount(call.fields), call.dependencies

    def work(tx: Tx) -> tuple[str, str, str]:
        key = sandbox.newest_key(tx, account)
        return key, *sandbox.fund(tx, account, credited, ids=deps.ids, now=call.arrived_at)

    key, public_id, e2e_id = await deps.db.write(work)
    desk.pay_key(key, credited.minor, e2e_id=e2e_id)  # so that the bank's books and ours agree
    return {"transaction_id": public_id, "end_to_end_id": e2e_id, "amount": credited.units}


async def settle_payout(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """End a payout that waits at the bank."""
    completed = (_word(call, "outcome", OUTCOMES) or "completed") == "completed"
    code = text(call.fields, "code")
    if code and code.upper() not in BY_CODE:
        raise wrong("code", "code is invalid")
    payout_id = await _payout(call)
    if not desk.settle_payout(payout_id, completed=completed, code=code.upper() if code else None):
        raise Conflict("INVALID_STATE", PROCESSED)
    return {"transaction_id": payout_id}


async def return_payout(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """Have the recipient's bank return a payout, or a part of it."""
    centavos = _part(call)
    reason = text(call.fields, "reason", characters_max=TEXT_MAX) or RETURN_REASON
    payout_id = await _payout(call)
    return {"transaction_id": payout_id, "return_id": desk.return_payout(payout_id, centavos, reason)}


async def settle_refund(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """End a refund that stays in progress at the bank."""
    completed = (_word(call, "outcome", OUTCOMES) or "completed") == "completed"
    owner, refund_id = call.by.owner, call.values["id"]
    row = await call.dependencies.db.read(lambda tx: queries.find(tx, refund_id, owner=owner))
    if row is None:
        raise NotFound("TRANSACTION_NOT_FOUND", UNKNOWN)
    if not desk.settle_return(refund_id, completed=completed):
        raise Conflict("INVALID_STATE", PROCESSED)
    return {"refund_id": refund_id}


async def contest(call: ExternalCall, desk: SandboxDesk, account: Account) -> Fields:
    """Have the payer contest a receipt."""
    e2e_id = _required(call, "end_to_end_id")
    centavos = _part(call)
    reason = _word(call, "reason", REASONS) or REASONS[0]
    owner, tools = call.by.owner, call.dependencies.tools
    row = await tools.db.read(lambda tx: queries.find_rail_id(tx, e2e_id, owner=owner))
    if row is None or row["direction"] != "inbound":
        raise NotFound("TRANSACTION_NOT_FOUND", UNKNOWN)
    infraction = await sandbox.hear_infraction(tools, account, desk.contest(e2e_id, centavos, reason))
    return {"med_id": infraction.id}


async def resolve(call: ExternalCall, desk: SandboxDesk, account: Account) -> Fields:
    """Close a contest; where the banks agreed, the money goes back."""
    result = _word(call, "result", RESULTS)
    if result is None:
        raise missing("result")
    centavos = _part(call)
    owner, med_id, tools = call.by.owner, call.values["id"], call.dependencies.tools
    infraction = await tools.db.read(lambda tx: infractions.find(tx, med_id, owner=owner))
    if infraction is None:
        raise NotFound("MED_NOT_FOUND", "MED not found")
    if infraction.state not in UNDECIDED:
        raise Conflict("INVALID_STATE", "MED is already closed")
    desk.resolve(infraction.ref, result, centavos)
    heard = await sandbox.hear_infraction(tools, account, infraction.ref)
    return {"med_id": heard.id, "status": heard.status}


async def script_fault(call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """Have something go wrong, a number of times."""
    asked: Fields = {name: _required(call, name) for name in ("operation", "fault")}
    asked["count"] = _number(call, "count", 1, least=1, most=COUNT_MAX)
    asked["delay_ms"] = _number(call, "delay_ms", 0, least=0, most=FAULT_DELAY_MS_MAX)
    asked["match"] = _match(call.fields.get("match"))
    if len(desk.faults()) >= FAULTS_AT_ONCE_MAX:
        raise Refused("TOO_MANY", f"At most {FAULTS_AT_ONCE_MAX} faults wait at once")
    return {"id": desk.add_fault(asked)}


async def list_faults(_call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """List what is still to go wrong, with the times it did."""
    return {"faults": [dict(fault) for fault in desk.faults()]}


async def clear_faults(_call: ExternalCall, desk: SandboxDesk, _account: Account) -> Fields:
    """Forget what is still to go wrong."""
    desk.clear_faults()
    return {}


def _played(
    play: Callable[[ExternalCall, SandboxDesk, Account], Awaitable[Fields]],
) -> Callable[[ExternalCall], Awaitable[Answer]]:
    """Return the handler of an operation that is played at the desk of the merchant's account."""

    async def handle(call: ExternalCall) -> Answer:
        before = await answered_before(call)
        if before is not None:
            return before
        deps, owner = call.dependencies, call.by.owner
        account = await deps.db.read(lambda tx: sandbox.find_account(tx, owner=owner))
        desk = deps.sandbox_bank.desk(credentials_of(account, deps.keyring).get("client_id", ""))
        fields = await play(call, desk, account)

        def work(_tx: Tx) -> bytes:
            return call.written({"worked": True, **fields})

        return await once(call, 200, work)

    return handle


async def _charge(call: ExternalCall) -> Charge:
    name, owner = call.values["id"], call.by.owner
    return await call.dependencies.db.read(lambda tx: sandbox.find_charge(tx, name, owner=owner))


async def _payout(call: ExternalCall) -> str:
    """Return the id of a payout of the caller's. Raises NotFound."""
    payout_id, owner = call.values["id"], call.by.owner
    payout = await call.dependencies.db.read(lambda tx: payouts.find(tx, payout_id, owner=owner))
    if payout is None:
        raise NotFound("TRANSACTION_NOT_FOUND", UNKNOWN)
    if payout.submitted_at is None:
        raise Conflict("INVALID_STATE", "Transaction has not reached the bank")
    return payout.id


def _payer(call: ExternalCall) -> Mapping[str, str]:
    name = text(call.fields, "payer_name", characters_max=TEXT_MAX)
    document = text(call.fields, "payer_document")
    if document and not (is_cpf(document) or is_cnpj(document)):
        raise wrong("payer_document", "payer_document is invalid")
    return {key: value for key, value in (("name", name), ("document", document)) if value}


def _part(call: ExternalCall) -> int | None:
    """Return the centavos of an amount that may be absent."""
    return amount(call.fields).minor if call.fields.get("amount") is not None else None


def _required(call: ExternalCall, name: str) -> str:
    value = text(call.fields, name)
    if not value:
        raise missing(name)
    return value


def _word(call: ExternalCall, name: str, words: tuple[str, ...]) -> str | None:
    value = text(call.fields, name)
    if value is not None and value not in words:
        raise wrong(name, f"{name} is invalid")
    return value


def _number(call: ExternalCall, name: str, otherwise: int, *, least: int, most: int) -> int:
    value = call.fields.get(name)
    if value is None:
        return otherwise
    number = whole(value)
    if number is None or not least <= number <= most:
        raise wrong(name, f"{name} is invalid")
    return number


def _match(value: object) -> Mapping[str, str]:
    """Return what a fault is matched with, in the bank's words."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not value.keys() <= {"external_id", "transaction_id", "end_to_end_id", "amount"}:
        raise wrong("match", "match is invalid")
    found = {name: str(item) for name, item in value.items() if isinstance(item, str)}
    if len(found) != len(value):
        raise wrong("match", "match is invalid")
    e2e_id, own = found.pop("end_to_end_id", None), found.pop("transaction_id", None)
    if e2e_id is not None:
        found["e2e_id"] = e2e_id
    if own is not None:
        charge_id = charge_id_of(own)
        found |= {"txid": provider_txid(charge_id)} if charge_id else {"ref": own}
    return found


OPERATIONS: Final = (
    Operation("POST", "/sandbox/charges/{id}/pay", _played(pay), SANDBOX, documents.PAY),
    Operation("POST", "/sandbox/charges/{id}/expire", _played(expire), SANDBOX, documents.EXPIRE),
    Operation("POST", "/sandbox/receipts", _played(receive), SANDBOX, documents.RECEIVE),
    Operation("POST", "/sandbox/payouts/{id}/settle", _played(settle_payout), SANDBOX, documents.SETTLE_PAYOUT),
    Operation("POST", "/sandbox/payouts/{id}/return", _played(return_payout), SANDBOX, documents.RETURN_PAYOUT),
    Operation("POST", "/sandbox/refunds/{id}/settle", _played(settle_refund), SANDBOX, documents.SETTLE_REFUND),
    Operation("POST", "/sandbox/med", _played(contest), SANDBOX, documents.CONTEST),
    Operation("POST", "/sandbox/med/{id}/resolve", _played(resolve), SANDBOX, documents.RESOLVE),
    Operation("POST", "/sandbox/fund", _played(fund), SANDBOX, documents.FUND),
    Operation("POST", "/sandbox/faults", _played(script_fault), SANDBOX, documents.SCRIPT_FAULT),
    Operation("GET", "/sandbox/faults", _played(list_faults), SANDBOX, documents.LIST_FAULTS),
    Operation("DELETE", "/sandbox/faults", _played(clear_faults), SANDBOX, documents.CLEAR_FAULTS),
)
