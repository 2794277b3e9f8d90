"""PATCH and cancel of payments, in both families of routes (merchant-api.md §9.4, §10.1)."""

from typing import Final

from opentill.api.merchant import payment_documents as documents
from opentill.api.merchant.attempt import Answered, Attempt
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.once import once_made, replay
from opentill.api.merchant.payments import found, rendered
from opentill.db import Tx
from opentill.kernel.errors import Conflict
from opentill.payments import flow, queries, rules, service, wire
from opentill.payments.model import OPEN, Payment, PaymentStatus
from opentill.web.exchange import Answer
from opentill.web.routes import Operation


async def amend(call: MerchantCall) -> Answer:
    """Change a pending payment."""
    changes = wire.parse_changes(call.fields)
    payment = await found(call, _ref(call))

    def change(tx: Tx) -> bytes:
        keyring, owner = call.dependencies.keyring, call.by.owner
        changed = service.amend(tx, payment.id, changes, owner=owner, keyring=keyring, now=call.arrived_at)
        return rendered(call, changed)

    return await once_made(call, 200, change)


async def cancel(call: MerchantCall) -> Answer:
    """End a payment without money, unless its gateway says that it is paid."""
    payment = await found(call, _ref(call))
    attempt = Attempt(call)

    try:
        await call.dependencies.db.write(lambda tx: _begin(tx, call, attempt, payment))
        ended = await _cancelled(call, payment)
        body = rendered(call, ended)
        await call.dependencies.db.write(lambda tx: attempt.finish(tx, 200, body))
    except Answered as before:
        return replay(call, before.kept)
    except Exception as failure:
        await attempt.release(failure)
        raise

    return Answer(200, body)


def _begin(tx: Tx, call: MerchantCall, attempt: Attempt, payment: Payment) -> None:
    """Take the key. What is over already is refused, unless it was this request that ended it."""
    attempt.claim(tx, payment.uuid)
    current = queries.by_id(tx, payment.id, owner=call.by.owner, keyring=call.dependencies.keyring)
    shown = rules.shown_status(current or payment, call.arrived_at)
    if shown not in OPEN and not (attempt.resumed and shown is PaymentStatus.CANCELLED):
        raise _over(shown)


async def _cancelled(call: MerchantCall, payment: Payment) -> Payment:
    try:
        ended = await flow.cancel_payment(call.dependencies.tools, payment)
    except Conflict as conflict:
        raise Conflict("INVALID_STATE", conflict.message) from conflict
    if ended.status is not PaymentStatus.CANCELLED:
        raise _over(ended.status)
    return ended


def _over(status: PaymentStatus) -> Conflict:
    return Conflict("INVALID_STATE", f"The payment is {status} and cannot be cancelled.")


def _ref(call: MerchantCall) -> str:
    return call.values.get("payment_id") or call.values["ref"]


OPERATIONS: Final = (
    Operation("PATCH", "/payment-intents/{ref}", amend, "write", documents.AMEND_INTENT),
    Operation("POST", "/payment-intents/{ref}/cancel", cancel, "write", documents.CANCEL_INTENT),
    Operation("PATCH", "/payments/{payment_id}", amend, "write", documents.AMEND_PAYMENT),
    Operation("POST", "/payments/{payment_id}/cancel", cancel, "write", documents.CANCEL_PAYMENT),
)
