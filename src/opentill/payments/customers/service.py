"""Customers' use cases: make, remember, erase. Each is one function in the caller's transaction."""

from dataclasses import replace

from opentill.db import Tx
from opentill.events import Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.customers import store
from opentill.payments.customers.model import Customer
from opentill.payments.model import Contact


def create(
    tx: Tx, contact: Contact, *, owner: Owner, merchant_uuid: str, ids: Ids, keyring: Keyring, now: Instant
) -> Customer:
    """Make a customer and record `customer.created`. Raises Conflict where the e-mail address is taken."""
    made = _insert(tx, contact, owner=owner, merchant_uuid=merchant_uuid, ids=ids, keyring=keyring, now=now)
    if made is None:
        raise Conflict("CUSTOMER_EXISTS", "A customer with this e-mail address exists already.")
    return made


def remember(
    tx: Tx,
    contact: Contact,
    *,
    owner: Owner,
    merchant_uuid: str,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    updates: bool = True,
) -> int | None:
    """Return the id of this customer, made or updated; None where nothing is known about the payer.

    Within one owner, an e-mail address in any case names one customer; a new name or phone replaces the old, unless
    a stranger says so (*updates* is false).
    """
    if not contact.known:
        return None
    while True:
        made = _insert(tx, contact, owner=owner, merchant_uuid=merchant_uuid, ids=ids, keyring=keyring, now=now)
        if made is not None:
            return made.id
        known = store.lock_by_email(tx, contact.email, owner=owner, keyring=keyring)
        if known is not None:  # otherwise erased since: the address is free again
            return _updated(tx, known, contact, keyring=keyring) if updates else known.id


def erase(tx: Tx, uuid: str, *, owner: Owner) -> None:
    """Destroy a person's name, address, phone and hashes. Payments stay and show nobody. Raises NotFound."""
    if not store.erase(tx, uuid, owner=owner):
        raise NotFound("CUSTOMER_NOT_FOUND", "No such customer.")


def _insert(
    tx: Tx, contact: Contact, *, owner: Owner, merchant_uuid: str, ids: Ids, keyring: Keyring, now: Instant
) -> Customer | None:
    uuid = ids.uuid7()
    customer_id = store.insert(tx, uuid, contact, owner=owner, keyring=keyring, now=now)
    if customer_id is None:
        return None
    document = {
        "merchant": {"uuid": merchant_uuid, "account_id": owner.account_id},
        "customer": {"id": customer_id, "uuid": uuid, **contact.fields, "metadata": {}, "created_at": now},
    }
    event = Event("customer.created", owner, "customer", uuid, now, document, merchant_type="customer.created")
    record(tx, event, ids=ids)
    return Customer(customer_id, uuid, owner, contact, now)


def _updated(tx: Tx, known: Customer, contact: Contact, *, keyring: Keyring) -> int:
    before = known.contact
    merged = replace(before, name=contact.name or before.name, phone=contact.phone or before.phone)
    if merged != before:
        store.update(tx, known, merged, keyring=keyring)
    return known.id
