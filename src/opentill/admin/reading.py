"""Reading what forms of several screens ask for alike. What is wrong is added to the faults of the form."""

from typing import Final

from opentill.admin.visit import Visit
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.money import Currency, MalformedAmountError, Money, parse
from opentill.web.addresses import is_network

NETWORKS_MAX: Final = 50
EXPIRIES: Final = {"": None, "30": 30, "90": 90, "365": 365}  # days


def networks(visit: Visit, name: str, faults: list[Fault]) -> tuple[str, ...]:
    """Return addresses and networks, one a line or separated by commas."""
    entries = tuple(visit.form.get(name, "").replace(",", "\n").split())
    if len(entries) > NETWORKS_MAX or not all(map(is_network, entries)):
        faults.append(Fault(name, "ADDRESSES_INVALID", "Enter addresses or networks, one a line, 50 at most."))
    return entries


def expiry(visit: Visit, faults: list[Fault]) -> Instant | None:
    """Return when what the form makes is to end; None for never."""
    chosen = visit.field("expiry")
    if chosen not in EXPIRIES:
        faults.append(Fault("expiry", "EXPIRY_INVALID", "Choose one of the list."))
    days = EXPIRIES.get(chosen)
    return after(visit.now, days * DAY) if days else None


def amount(visit: Visit, name: str, of: Currency | None, faults: list[Fault]) -> Money | None:
    """Return an amount above nothing; None where it is empty, or wrong, or nobody knows in which currency it is."""
    text = visit.field(name).replace(",", ".")
    if not text or of is None:
        return None
    try:
        read = parse(text, of)
    except MalformedAmountError:
        read = Money(0, of)
    if read.units <= 0:
        faults.append(Fault(name, "AMOUNT_INVALID", "Enter a plain amount, for example 0.50."))
        return None
    return read


def needed_amount(visit: Visit, name: str, of: Currency) -> Money:
    """Return an amount above nothing. Raises Invalid where it is empty or wrong."""
    faults: list[Fault] = []
    read = amount(visit, name, of, faults)
    if read is None:
        raise Invalid(faults or [Fault(name, "INVALID_AMOUNT", "Enter a plain amount, for example 0.50.")])
    return read
