"""Taking what a provider told us: kept and applied in one transaction, so that a repeat finds both or neither."""

from dataclasses import replace

from opentill.db import ReadTx, Tx
from opentill.gateways.port import RefundNews, SessionNews
from opentill.kernel.clock import Instant
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.payments import service as payments
from opentill.payments import store as payment_rows
from opentill.payments.inbound import store
from opentill.payments.inbound.model import Callback, CallbackState
from opentill.payments.model import Refund, Session
from opentill.payments.refunds import service as refunds
from opentill.payments.refunds import store as refund_rows

UNKNOWN = "it names nothing that this merchant has"


def take(
    tx: Tx, callback: Callback, news: SessionNews | RefundNews, *, ids: Ids, keyring: Keyring, now: Instant
) -> bool:
    """Keep an authentic callback and apply what it says. Safe to repeat: one of the same name counts once.

    Return False where it names a session or refund that is not this merchant's; it is kept as rejected then.
    """
    public_id = "dlv_" + ids.timed_hex()
    is_new, subject = tx.together(
        lambda tx: store.insert(tx, callback, CallbackState.RECEIVED, public_id=public_id, status=200),
        lambda tx: _subject(tx, callback, news),
    )
    if not is_new:
        store.count_repeat(tx, callback)
        return True
    reach("callback.kept")
    payment_id = _apply(tx, subject, news, ids=ids, keyring=keyring, now=now)
    if payment_id is None:
        store.forget(tx, callback)
        reject(tx, callback, UNKNOWN, status=404, ids=ids)
        return False
    store.name_payment(tx, public_id, payment_id, owner=callback.owner)
    reach("callback.applied")
    return True


def reject(tx: Tx, callback: Callback, reason: str, *, status: int, ids: Ids) -> None:
    """Keep a request that counts for nothing, for whoever looks for the reason: the newest ones, and their start."""
    kept = replace(callback, event_key=None, body=callback.body[: store.REJECTED_BYTES_MAX])
    public_id = "dlv_" + ids.timed_hex()
    store.insert(tx, kept, CallbackState.REJECTED, public_id=public_id, status=status, reason=reason)
    store.forget_rejected(tx, callback.gateway, owner=callback.owner)


def purge(tx: Tx, *, before: Instant, most: int) -> int:
    """Delete the oldest callbacks from before an instant. One that came again would find its receipt counted."""
    return store.purge(tx, before=before, most=most)


def _subject(tx: ReadTx, callback: Callback, news: SessionNews | RefundNews) -> Session | Refund | None:
    """Return the session or refund that is spoken of, if this merchant has it."""
    owner, gateway = callback.owner, callback.gateway
    if isinstance(news, SessionNews):
        return payment_rows.session_by_reference(tx, news.session, gateway=gateway, owner=owner)
    found = "r.uuid = :uuid and r.gateway = :gateway"
    return refund_rows.one(tx, found, owner=owner, uuid=news.reference, gateway=gateway)


def _apply(
    tx: Tx,
    subject: Session | Refund | None,
    news: SessionNews | RefundNews,
    *,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> int | None:
    """Apply what was said of a session or refund; return the payment, None where there is none."""
    match subject, news:
        case Session(), SessionNews():
            return payments.conclude(tx, subject, news.verdict, ids=ids, keyring=keyring, now=now).id
        case Refund(), RefundNews():
            return refunds.conclude(tx, subject, news.answer, ids=ids, keyring=keyring, now=now).payment_id
        case _:
            return None
