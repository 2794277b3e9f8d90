"""What a merchant may choose: one frozen object, kept as JSON beside the merchant's row, defaults left out.

It travels with the merchant of an API key, so that no request has to read it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from opentill.db import ReadTx, Tx
from opentill.db.dialect import for_update
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.owner import Owner

MINUTES_MAX: Final = 24 * 60
MARKUP_MAX: Final = 10_000  # basis points


@dataclass(frozen=True, slots=True)
class Options:
    """A merchant's options. Each name is the specification's; each default changes nothing."""

    late_payments: Literal["accept", "review"] = "accept"
    fail_on_decline: bool = False
    refund_fees: bool = True
    refund_balance_check: bool = False
    duplicate_guard_minutes: int = 0  # 0: off
    lenient_intents: bool = False
    redirect_fallback: Literal["receipt", "callback_url"] = "receipt"
    dialect: Literal["auto", "seed", "sdk"] = "auto"
    fx_markup_basis_points: int = 0
    two_approvals_from: int = 0  # units of the payment's currency; 0: one is enough


def read(text: str) -> Options:
    """Read stored options. What this version does not know, or cannot use, is left at its default."""
    kept = json.loads(text)
    return Options(**{name: value for name, value in kept.items() if _fits(name, value)}) if kept else DEFAULTS


def of_merchant(tx: ReadTx, owner: Owner) -> Options:
    """Return an owner's options; for use cases that are not handed them."""
    row = tx.one_or_none("select settings from merchant where id = :id", id=owner.merchant_id)
    return read(row["settings"]) if row else DEFAULTS


def change(tx: Tx, changes: Mapping[str, Any], *, owner: Owner) -> Options:
    """Change some of a merchant's options. Raises Invalid with every value that is none."""
    faults = [
        Fault(name, "VALIDATION_FAILED", "%(option)s cannot be %(value)s.", {"option": name, "value": repr(value)})
        for name, value in changes.items()
        if not _fits(name, value)
    ]
    if faults:
        raise Invalid(faults)
    row = tx.one_or_none(f"select settings from merchant where id = :id{for_update(tx)}", id=owner.merchant_id)
    changed = Options(**(asdict(read(row["settings"] if row else "{}")) | dict(changes)))
    tx.run("update merchant set settings = :settings where id = :id", id=owner.merchant_id, settings=_written(changed))
    return changed


def _written(options: Options) -> str:
    plain = asdict(options)
    return json.dumps({name: value for name, value in plain.items() if value != getattr(DEFAULTS, name)})


def _fits(name: str, value: object) -> bool:
    kind = _KINDS.get(name)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is bool:
        return isinstance(value, bool)
    return kind is int and type(value) is int and 0 <= value <= _MOST.get(name, 10**15)


DEFAULTS: Final = Options()
_KINDS: Final[dict[str, Any]] = {field.name: get_type_hints(Options)[field.name] for field in fields(Options)}
_MOST: Final = {"duplicate_guard_minutes": MINUTES_MAX, "fx_markup_basis_points": MARKUP_MAX}
