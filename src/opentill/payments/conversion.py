"""What a gateway charges that does not take a payment's currency (merchant-api.md §6.2).

The payment's own amount never changes. The rate is fixed with the session and kept with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant
from opentill.kernel.errors import Conflict, Fault, Invalid
from opentill.kernel.money import MalformedRateError, Money, UnknownCurrencyError, currency, half_up
from opentill.kernel.owner import Owner
from opentill.merchants import options
from opentill.merchants.gateways import ActiveGateway
from opentill.payments.model import Conversion

USABLE: Final = DAY  # an older rate is not used
WHOLE: Final = 10_000  # basis points
DIGITS_MAX: Final = 12

_ = str  # marks a text for the catalogues


def fix(tx: ReadTx, amount: Money, way: ActiveGateway, *, owner: Owner, now: Instant) -> Conversion | None:
    """Return what a gateway is to charge for an amount; None where it takes the amount as it is.

    Raises Conflict where it takes neither, because there is no rate of the last day, or not so little or much.
    """
    charge = None
    if way.currency is not None and way.currency != amount.currency.code:
        charge = _converted(tx, amount, way.currency, owner=owner, now=now)
        if charge is None or not charge.amount.units:
            what = amount.currency.code
            raise Conflict("INVALID_STATE", "%(gateway)s does not take %(what)s.", gateway=way.slug, what=what)
    charged = charge.amount if charge else amount
    if not way.takes_amount(charged):
        raise Conflict("INVALID_STATE", "%(gateway)s does not take %(what)s.", gateway=way.slug, what=charged)
    return charge


def takes(tx: ReadTx, amount: Money, way: ActiveGateway, *, owner: Owner, now: Instant) -> bool:
    """Tell whether a gateway takes an amount, as it is or converted."""
    try:
        fix(tx, amount, way, owner=owner, now=now)
    except Conflict:
        return False
    return True


def set_rate(
    tx: Tx, base: str, quote: str, rate: str, *, source: Literal["feed", "operator"], now: Instant
) -> "Rate | None":
    """Keep how many units of *quote* one unit of *base* is worth; return the rate whose place it takes.

    An operator's rate goes before the feed's. Raises Invalid for what is no rate.
    """
    _check(base, quote, rate)
    before = next((one for one in rates(tx) if (one.base, one.quote, one.source) == (base, quote, source)), None)
    tx.run(
        """
        insert into exchange_rate (base, quote, source, rate, taken_at)
        values (:base, :quote, :source, :rate, :now)
        on conflict (base, quote, source) do update set rate = excluded.rate, taken_at = excluded.taken_at
        """,
        base=base,
        quote=quote,
        source=source,
        rate=rate,
        now=now,
    )
    return before


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units of *quote* one unit of *base* was worth at a time."""

    base: str
    quote: str
    rate: str
    source: str  # feed or operator
    taken_at: Instant

    def usable(self, now: Instant) -> bool:
        """Tell whether payments are still converted at it."""
        return self.taken_at > now - USABLE


def rates(tx: ReadTx) -> Sequence[Rate]:
    """Return every rate that is kept, also those too old to be used."""
    rows = tx.all("select base, quote, rate, source, taken_at from exchange_rate order by base, quote, source desc")
    return [Rate(**dict(row)) for row in rows]


def _check(base: str, quote: str, rate: str) -> None:
    """Raise Invalid with all that is wrong with a rate."""
    faults = []
    for name, code in (("base", base), ("quote", quote)):
        try:
            currency(code)
        except UnknownCurrencyError:
            text = _("%(code)s is no currency: name it as ISO 4217 does, such as BRL.")
            faults.append(Fault(name, "VALIDATION_FAILED", text, {"code": code or "–"}))
    if base == quote and not faults:
        faults.append(Fault("quote", "VALIDATION_FAILED", "Name two different currencies."))
    try:
        Money(0, currency("BRL")).at(rate, currency("BRL"))
    except MalformedRateError:
        faults.append(Fault("rate", "VALIDATION_FAILED", "A rate is a decimal above zero with at most 12 digits."))
    if faults:
        raise Invalid(faults)


def _converted(tx: ReadTx, amount: Money, quote: str, *, owner: Owner, now: Instant) -> Conversion | None:
    row = tx.one_or_none(
        """
        select rate, taken_at from exchange_rate
         where base = :base and quote = :quote and taken_at > :usable
         order by case when source = 'operator' then 0 else 1 end limit 1
        """,
        base=amount.currency.code,
        quote=quote,
        usable=now - USABLE,
    )
    if row is None:
        return None
    rate = with_markup(row["rate"], options.of_merchant(tx, owner).fx_markup_basis_points)
    return Conversion(amount.at(rate, currency(quote)), rate, row["taken_at"])


def with_markup(rate: str, basis_points: int) -> str:
    """Return a rate with the merchant's mark-up on it, rounded half up to 12 digits."""
    if not basis_points:
        return rate
    whole, _, decimals = rate.partition(".")
    digits, places = int(whole + decimals) * (WHOLE + basis_points), len(decimals) + len(str(WHOLE)) - 1
    beyond = min(max(len(str(digits)) - DIGITS_MAX, 0), places)
    digits, places = half_up(digits, 10**beyond), places - beyond
    text = str(digits).rjust(places + 1, "0")
    return f"{text[:-places]}.{text[-places:]}".rstrip("0").rstrip(".") if places else text
