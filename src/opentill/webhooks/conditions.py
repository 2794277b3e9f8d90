"""Conditions of an endpoint: which events of those it subscribed to it really wants (webhooks.md §4.4). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from opentill.kernel.money import Currency, Money, render
from opentill.webhooks.model import Condition, RecordedEvent

CONDITIONS_MAX: Final = 10
TEXT_CHARACTERS_MAX: Final = 255
CHOICES_MAX: Final = 50
FIELDS: Final = frozenset(("currency", "amount", "gateway", "rail", "reference", "status"))
METADATA: Final = "metadata."
OPERATORS: Final = frozenset(("eq", "ne", "in", "gte", "lte", "prefix", "exists"))
REAL: Final = Currency("BRL", 2)  # what is not of a payment is of PIX

# Where in a document the object of the event is, the most telling first.
_PARTS: Final = (
    "payment",
    "charge",
    "receipt",
    "refund",
    "payout",
    "return",
    "infraction",
    "dispute",
    "med",
    "invoice",
)


def hold(conditions: Sequence[Condition], event: RecordedEvent) -> bool:
    """Tell whether an event, document opened, meets every condition."""
    return all(_holds(condition, event.document) for condition in conditions)


def faults_of(conditions: Sequence[Condition]) -> Iterator[str]:
    """Say what is wrong with the conditions an owner gave."""
    if len(conditions) > CONDITIONS_MAX:
        yield f"conditions must be at most {CONDITIONS_MAX}"
    for condition in conditions:
        if condition.field not in FIELDS and not condition.field.startswith(METADATA):
            yield f"conditions: unknown field {condition.field[:64]}"
        elif condition.op not in OPERATORS:
            yield f"conditions: unknown operator {condition.op[:64]}"
        elif not _fits(condition):
            yield f"conditions: the value for {condition.field[:64]} {condition.op} is invalid"


def _fits(condition: Condition) -> bool:
    value = condition.value
    if condition.op == "exists":
        return isinstance(value, bool)
    if condition.op == "in":
        return isinstance(value, list) and 0 < len(value) <= CHOICES_MAX and all(map(_is_plain, value))
    if condition.op in ("gte", "lte"):
        return _number(value) is not None
    return _is_plain(value)


def _is_plain(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX)


def _holds(condition: Condition, document: Mapping[str, Any]) -> bool:
    found = _value(condition.field, document)
    wanted = condition.value
    if condition.op == "exists":
        return (found is not None) is wanted
    if found is None:
        return condition.op == "ne"
    match condition.op:
        case "eq":
            return _same(condition.field, found, wanted)
        case "ne":
            return not _same(condition.field, found, wanted)
        case "in":
            return any(_same(condition.field, found, one) for one in wanted)
        case "prefix":
            return str(found).startswith(str(wanted))
        case _:
            return _compares(condition.op, found, wanted)


def _same(field: str, found: object, wanted: object) -> bool:
    if field == "amount":
        return _number(found) == _number(wanted)
    return found == wanted if isinstance(found, bool) else str(found) == str(wanted)


def _compares(op: str, found: object, wanted: object) -> bool:
    one, other = _number(found), _number(wanted)
    if one is None or other is None:
        return False
    return one >= other if op == "gte" else one <= other


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _value(field: str, document: Mapping[str, Any]) -> Any:
    """Return what the event's document says of a field; None if nothing."""
    if field.startswith(METADATA):
        metadata = (document.get("payment") or document.get("customer") or {}).get("metadata") or {}
        return metadata.get(field.removeprefix(METADATA))
    part: Mapping[str, Any] = next((document[name] for name in _PARTS if document.get(name) is not None), {})
    match field:
        case "amount":
            units = part.get("amount_units", part.get("total_units"))
            return None if units is None else render(Money(units, _currency(part)))
        case "currency":
            return _currency(part).code if part else None
        case "rail":
            return (part.get("method") or None) if "method" in part else ("pix" if part else None)
        case "reference":
            return part.get("order_id") or part.get("external_id") or None
        case _:
            return part.get(field) or None


def _currency(part: Mapping[str, Any]) -> Currency:
    return Currency(part["currency"], part["exponent"]) if "exponent" in part else REAL
