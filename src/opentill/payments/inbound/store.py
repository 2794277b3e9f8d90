"""SQL of callbacks. Private to this feature's service and queries."""

from typing import Final

from opentill.db import Tx
from opentill.db.dialect import next_id
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.payments.inbound.model import Callback, CallbackState

REJECTED_MAX: Final = 200  # rejected requests that are kept of one gateway of a merchant; anybody may send them
REJECTED_BYTES_MAX: Final = 4 * 1024  # and this much of each


def insert(tx: Tx, callback: Callback, state: CallbackState, *, public_id: str, status: int, reason: str = "") -> bool:
    """Keep a callback; False where one of the same name is there already. It is numbered among the deliveries."""
    number = next_id(tx, "webhook_delivery")
    added = tx.all(
        f"""
        insert into gateway_callback (id, public_id, merchant_id, mode, gateway, event_key, state, reason, status,
                                      method, url, headers, body, created_at)
        values ({number}, :public_id, :merchant_id, :mode, :gateway, :event_key, :state, :reason, :status,
                :method, :url, :headers, :body, :at)
        on conflict (merchant_id, mode, gateway, event_key) do nothing
        returning id
        """,
        public_id=public_id,
        **callback.owner.columns,
        gateway=callback.gateway,
        event_key=callback.event_key,
        state=state.value,
        reason=reason,
        status=status,
        method=callback.method,
        url=callback.url,
        headers=callback.headers,
        body=callback.body,
        at=callback.at,
    )
    return bool(added)


def name_payment(tx: Tx, public_id: str, payment_id: int, *, owner: Owner) -> None:
    """Save which payment a callback, named by its *public_id*, was about. The payment's lock is held: referring to it
    takes a weaker one.

    The plus keeps a planner that has no statistics yet from reading all callbacks of the owner.
    """
    tx.defer(
        """
        update gateway_callback set payment_id = :payment_id
         where public_id = :public_id and +merchant_id = :merchant_id and +mode = :mode
        """,
        **owner.columns,
        public_id=public_id,
        payment_id=payment_id,
    )


def count_repeat(tx: Tx, callback: Callback) -> None:
    """Count that a callback came once more."""
    tx.run(
        """
        update gateway_callback set times = times + 1
         where merchant_id = :merchant_id and mode = :mode and gateway = :gateway and event_key = :event_key
        """,
        **callback.owner.columns,
        gateway=callback.gateway,
        event_key=callback.event_key,
    )


def forget(tx: Tx, callback: Callback) -> None:
    """Delete a callback that turned out to be about nothing."""
    tx.run(
        """
        delete from gateway_callback
         where merchant_id = :merchant_id and mode = :mode and gateway = :gateway and event_key = :event_key
        """,
        **callback.owner.columns,
        gateway=callback.gateway,
        event_key=callback.event_key,
    )


def forget_rejected(tx: Tx, gateway: str, *, owner: Owner) -> None:
    """Delete the oldest rejected requests of a gateway beyond REJECTED_MAX."""
    tx.run(
        """
        delete from gateway_callback where id in (
          select id from gateway_callback
           where merchant_id = :merchant_id and mode = :mode and gateway = :gateway and state = 'rejected'
           order by id desc limit 1000 offset :most)
        """,
        **owner.columns,
        gateway=gateway,
        most=REJECTED_MAX,
    )


def purge(tx: Tx, *, before: Instant, most: int) -> int:
    """Delete the oldest callbacks from before an instant; return how many."""
    return tx.run(
        """
        delete from gateway_callback where id in (
          select id from (select id, created_at from gateway_callback order by id limit :most) oldest
           where created_at < :before)
        """,
        before=before,
        most=most,
    )
