"""Customers: people's data, encrypted, found by keyed hash (merchant-api.md §9.2, §9.7)."""

import json
from dataclasses import asdict, replace

from opentill.db import Tx
from opentill.events import Event, record
from opentill.kernel.clock import Instant
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.model import Contact


def remember(
    tx: Tx, contact: Contact, *, owner: Owner, merchant_uuid: str, ids: Ids, keyring: Keyring, now: Instant
) -> int | None:
    """Return the id of this customer, made or updated; None where nothing is known about the payer.

    Within one owner, an e-mail address in any case names one customer; a new name or phone replaces the old.
    """
    if not contact.known:
        return None
    email_hash = keyring.keyed_hash(contact.email.lower(), "customer.email") if contact.email else None
    uuid = ids.uuid7()
    made = tx.all(
        """
        insert into customer (uuid, merchant_id, mode, email_hash, phone_hash, sealed, created_at)
        values (:uuid, :merchant_id, :mode, :email_hash, :phone_hash, :sealed, :now)
        on conflict (merchant_id, mode, email_hash) where email_hash is not null do nothing
        returning id
        """,
        uuid=uuid,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        email_hash=email_hash,
        phone_hash=_phone_hash(contact, keyring),
        sealed=_sealed(contact, uuid, keyring),
        now=now,
    )
    if not made:
        return _update(tx, contact, email_hash, owner=owner, keyring=keyring)
    customer_id: int = made[0]["id"]
    document = {
        "merchant": {"uuid": merchant_uuid, "account_id": owner.account_id},
        "customer": {"id": customer_id, "uuid": uuid, **asdict(contact), "metadata": {}, "created_at": now},
    }
    record(
        tx,
        Event("customer.created", owner, "customer", uuid, now, document, merchant_type="customer.created"),
        ids=ids,
    )
    return customer_id


def _update(tx: Tx, contact: Contact, email_hash: str | None, *, owner: Owner, keyring: Keyring) -> int:
    row = tx.all(
        """
        select id, uuid, sealed from customer
         where merchant_id = :merchant_id and mode = :mode and email_hash = :email_hash
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        email_hash=email_hash,
    )[0]
    known = Contact(**json.loads(keyring.open(row["sealed"], f"customer.sealed/{row['uuid']}")))
    merged = replace(known, name=contact.name or known.name, phone=contact.phone or known.phone)
    if merged != known:
        tx.run(
            """
            update customer set sealed = :sealed, phone_hash = :phone_hash
             where id = :id and merchant_id = :merchant_id and mode = :mode
            """,
            id=row["id"],
            merchant_id=owner.merchant_id,
            mode=int(owner.mode),
            sealed=_sealed(merged, row["uuid"], keyring),
            phone_hash=_phone_hash(merged, keyring),
        )
    customer_id: int = row["id"]
    return customer_id


def _sealed(contact: Contact, uuid: str, keyring: Keyring) -> str:
    return keyring.seal(json.dumps(asdict(contact), ensure_ascii=False).encode(), f"customer.sealed/{uuid}")


def _phone_hash(contact: Contact, keyring: Keyring) -> str | None:
    """Hash a phone by its digits and a leading plus, so that spellings do not matter."""
    plain = "".join(c for c in contact.phone if c.isascii() and (c.isdigit() or c == "+"))
    return keyring.keyed_hash(plain, "customer.phone") if plain else None
