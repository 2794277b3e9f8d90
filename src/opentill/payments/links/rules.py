"""Decisions about payment links: values in, values out."""

from enum import StrEnum

from opentill.kernel.clock import Instant
from opentill.kernel.money import Money
from opentill.payments.links.model import Link, LinkStatus


class Closed(StrEnum):
    """Why a link takes no payment now."""

    INACTIVE = "inactive"  # switched off by the merchant
    EXPIRED = "expired"  # its time has passed
    USED_UP = "used_up"  # all its uses were paid
    TAKEN = "taken"  # somebody is paying with its last use


def status_of(link: Link, now: Instant) -> LinkStatus:
    """Return the status to show."""
    if not link.terms.active:
        return LinkStatus.INACTIVE
    ended = link.terms.expires_at is not None and now >= link.terms.expires_at
    used_up = link.terms.max_uses is not None and link.use_count >= link.terms.max_uses
    return LinkStatus.EXPIRED if ended or used_up else LinkStatus.ACTIVE


def closed(link: Link, now: Instant) -> Closed | None:
    """Return why a link takes no payment, None if it takes one."""
    terms = link.terms
    if not terms.active:
        return Closed.INACTIVE
    if terms.expires_at is not None and now >= terms.expires_at:
        return Closed.EXPIRED
    if terms.max_uses is None or link.use_count + link.open_count < terms.max_uses:
        return None
    return Closed.USED_UP if link.use_count >= terms.max_uses else Closed.TAKEN


def allows(link: Link, amount: Money) -> bool:
    """Tell whether a payer may pay this amount."""
    terms = link.terms
    if terms.amount is not None:
        return amount == terms.amount
    least, most = terms.least, terms.most
    return amount.units > 0 and (least is None or amount >= least) and (most is None or amount <= most)
