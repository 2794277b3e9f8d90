"""SQL of customers. Names, addresses and phones go in sealed, and are looked up by keyed hash."""

from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.db.listing import Listing
from opentill.kernel.clock import Instant
from opentill.kernel.json_text import compact, read_back
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.customers.model import Customer
from opentill.payments.model import Contact

CUSTOMER: Final = """
        select id, uuid, merchant_id, mode, sealed, created_at from customer
"""


def insert(tx: Tx, uuid: str, contact: Contact, *, owner: Owner, keyring: Keyring, now: Instant) -> int | None:
    """Insert a customer and return its id; None if the owner has one of this e-mail address."""
    made = tx.all(
        """
        insert into customer (uuid, merchant_id, mode, email_hash, phone_hash, sealed, created_at)
        values (:uuid, :merchant_id, :mode, :email_hash, :phone_hash, :sealed, :now)
        on conflict (merchant_id, mode, email_hash) where email_hash is not null do nothing
        returning id
        """,
        uuid=uuid,
        **owner.columns,
        email_hash=email_hash(contact.email, keyring) if contact.email else None,
        phone_hash=phone_hash(contact.phone, keyring),
        sealed=_sealed(contact, uuid, keyring),
        now=now,
    )
    return made[0]["id"] if made else None


def update(tx: Tx, customer: Customer, contact: Contact, *, keyring: Keyring) -> None:
    """Save a locked customer's name and phone; the e-mail address stays."""
    tx.run(
        """
        update customer set sealed = :sealed, phone_hash = :phone_hash
         where id = :id and merchant_id = :merchant_id and mode = :mode and sealed is not null
        """,
        id=customer.id,
        **customer.owner.columns,
        sealed=_sealed(contact, customer.uuid, keyring),
        phone_hash=phone_hash(contact.phone, keyring),
    )


def erase(tx: Tx, uuid: str, *, owner: Owner) -> int:
    """Destroy what is known of a person; return how many were not erased before: one or none."""
    return tx.run(
        """
        update customer set sealed = null, email_hash = null, phone_hash = null
         where uuid = :uuid and merchant_id = :merchant_id and mode = :mode and sealed is not null
        """,
        uuid=uuid,
        **owner.columns,
    )


def lock_by_email(tx: Tx, email: str, *, owner: Owner, keyring: Keyring) -> Customer | None:
    """Load an owner's customer of an e-mail address, in any case, and lock its row until *tx* ends."""
    row = tx.one_or_none(
        f"""{CUSTOMER}
         where merchant_id = :merchant_id and mode = :mode and email_hash = :email_hash and sealed is not null
         {for_update(tx)}
        """,
        email_hash=email_hash(email, keyring),
        **owner.columns,
    )
    return as_customer(row, keyring) if row else None


def one(tx: ReadTx, condition: str, *, owner: Owner, keyring: Keyring, **params: Any) -> Customer | None:
    """Return the newest of an owner's customers that meet a condition of this feature's own making."""
    row = known(owner).where(condition, **params).newest(tx, CUSTOMER)
    return as_customer(row, keyring) if row else None


def known(owner: Owner) -> Listing:
    """Return the list of an owner's customers who were not erased."""
    return Listing(owner, "customer").where("sealed is not null")


def email_hash(email: str, keyring: Keyring) -> str:
    return keyring.keyed_hash(email.lower(), "customer.email")


def phone_hash(phone: str, keyring: Keyring) -> str | None:
    """Hash a phone by its digits and a leading plus, so that spellings do not matter; None where it has no digits."""
    digits = "".join(c for c in phone if c.isascii() and c.isdigit())
    plus = "+" if phone.strip().startswith("+") else ""
    return keyring.keyed_hash(plus + digits, "customer.phone") if digits else None


def opened(sealed: str | None, uuid: str, keyring: Keyring) -> Contact:
    """Return who a customer is; an erased one is nobody."""
    return Contact(**read_back(keyring.open(sealed, f"customer.sealed/{uuid}"))) if sealed is not None else Contact()


def _sealed(contact: Contact, uuid: str, keyring: Keyring) -> str:
    return keyring.seal(compact(contact.fields), f"customer.sealed/{uuid}")


def as_customer(row: Row, keyring: Keyring) -> Customer:
    contact = opened(row["sealed"], row["uuid"], keyring)
    return Customer(row["id"], row["uuid"], Owner(row["merchant_id"], Mode(row["mode"])), contact, row["created_at"])
