"""Payment links' use cases: one function, one transaction."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from opentill.db import Tx, UniqueViolation
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.merchants.model import Merchant
from opentill.payments import service as payments
from opentill.payments.fields import plain_json
from opentill.payments.links import rules, store
from opentill.payments.links.model import Link, Terms
from opentill.payments.model import Contact, Order, Payment
from opentill.payments.rules import takes

SLUG_CHARACTERS: Final = 10  # of a slug we make


@dataclass(frozen=True, slots=True)
class Answers:
    """What a payer said before paying."""

    amount: Money
    contact: Contact
    fields: dict[str, str]
    address: str | None = None


def create(tx: Tx, terms: Terms, *, owner: Owner, ids: Ids, now: Instant) -> Link:
    """Make a link. Raises NotFound for a gateway that is off, Conflict where the slug is taken."""
    _require_gateway(tx, terms, owner=owner)
    uuid = ids.uuid7()
    while True:
        slug = terms.slug or ids.alnum(SLUG_CHARACTERS)
        link_id = store.insert(tx, uuid, slug, terms, owner=owner, now=now)
        if link_id is not None:
            return Link(link_id, uuid, slug, owner, replace(terms, slug=slug), 0, 0, now, now)
        if terms.slug is not None:
            raise _taken()


def change(tx: Tx, link: Link, terms: Terms, *, now: Instant) -> Link:
    """Save new terms of a locked link. Payments that were made keep theirs."""
    _require_gateway(tx, terms, owner=link.owner)
    slug = terms.slug or link.slug
    try:
        store.update(tx, link, slug, terms, now=now)
    except UniqueViolation:
        raise _taken() from None
    return replace(link, slug=slug, terms=replace(terms, slug=slug), updated_at=now)


def locked(tx: Tx, link_id: int, *, owner: Owner) -> Link:
    """Return a link whose row is locked until *tx* ends. Raises NotFound."""
    link = store.lock(tx, link_id, owner=owner)
    if link is None:
        raise NotFound("PAYMENT_LINK_NOT_FOUND", "No such payment link.")
    return link


def pay(
    tx: Tx,
    link_id: int,
    answers: Answers,
    *,
    merchant: Merchant,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    uuid: str | None = None,
) -> Payment:
    """Make the payment a payer asked for at a link's page.

    It takes one of the link's uses until it ends. Raises Conflict where the link takes no payment now, or not this
    amount.
    """
    link = locked(tx, link_id, owner=merchant.owner)
    closed = rules.closed(link, now)
    if closed is not None:
        raise Conflict(closed.name, "This payment link takes no payment now.")
    if not rules.allows(link, answers.amount):
        raise Conflict("INVALID_AMOUNT", "This payment link does not take that amount.")
    order = _order(link, answers)
    return payments.create(tx, order, merchant=merchant, ids=ids, keyring=keyring, now=now, uuid=uuid)


def _order(link: Link, answers: Answers) -> Order:
    terms = link.terms
    metadata: dict[str, Any] = json.loads(terms.metadata)
    if terms.questions:
        metadata["fields"] = answers.fields
    if answers.address:
        metadata["address"] = answers.address
    return Order(
        amount=answers.amount,
        description=terms.title,
        contact=answers.contact,
        redirect_url=terms.redirect_url,
        callback_url=terms.callback_url,
        callback_bare=terms.callback_bare,
        gateway=terms.gateway,
        gateway_fixed=terms.gateway is not None,
        metadata=plain_json(metadata),
        link=link.name,
    )


def _require_gateway(tx: Tx, terms: Terms, *, owner: Owner) -> None:
    if terms.gateway is None:
        return
    if terms.gateway not in {gateway.slug for gateway in gateways.active(tx, owner=owner)}:
        raise NotFound("GATEWAY_NOT_FOUND", f"Gateway '{terms.gateway}' is not configured or inactive.")
    if not takes(terms.gateway, terms.currency):
        named = {"gateway": terms.gateway, "currency": terms.currency.code}
        wrong = Fault("gateway", "VALIDATION_FAILED", "The gateway '%(gateway)s' does not take %(currency)s.", named)
        raise Invalid([wrong])


def _taken() -> Conflict:
    return Conflict("SLUG_TAKEN", "This slug is taken. Choose another.")
