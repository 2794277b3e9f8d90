"""What an operator allows a merchant to send and to charge (pix-api.md §15). Nothing is limited unless it is set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.db.dialect import for_update
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.owner import Owner


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits and approval of one merchant in one mode. None: no limit."""

    payouts: bool = True
    approve_from_units: int | None = None  # payouts at or above wait for a second person
    approve_distinct: bool = True  # who made a payout may not approve it
    approve_within_s: int = 86_400
    payout_max_units: int | None = None
    payout_day_units: int | None = None
    payout_night_units: int | None = None
    payouts_per_minute: int | None = None
    charge_min_units: int | None = None
    charge_max_units: int | None = None
    refund_within_days: int = 90
    block_from_units: int = 0  # contests below are not blocked


AMOUNTS: Final = frozenset(name for name in Policy.__slots__ if name.endswith("_units"))
DAYS_MAX: Final = 90
_FLAGS = ("payouts", "approve_distinct")


def policy_of(tx: ReadTx, *, owner: Owner) -> Policy:
    """Return an owner's policy; the open one where nothing was set."""
    return _policy(tx, owner)


def lock_policy(tx: Tx, *, owner: Owner) -> Policy:
    """Return the same, locked until *tx* ends."""
    return _policy(tx, owner, for_update(tx))


def change_policy(tx: Tx, changes: Mapping[str, int | bool | None], *, owner: Owner) -> Policy:
    """Change some of an owner's policy and return the whole. Raises Invalid where it would make no sense."""
    changed = replace(lock_policy(tx, owner=owner), **changes)  # type: ignore[arg-type]
    faults = _faults(changed)
    if faults:
        raise Invalid(faults)
    set_policy(tx, changed, owner=owner)
    return changed


def set_policy(tx: Tx, policy: Policy, *, owner: Owner) -> None:
    """Save an owner's policy as a whole."""
    names = Policy.__slots__
    tx.run(
        f"""
        insert into pix_policy (merchant_id, mode, {", ".join(names)})
        values (:merchant_id, :mode, {", ".join(f":{name}" for name in names)})
        on conflict (merchant_id, mode) do update set {", ".join(f"{name} = :{name}" for name in names)}
        """,
        **owner.columns,
        **{name: int(getattr(policy, name)) if name in _FLAGS else getattr(policy, name) for name in names},
    )


def _faults(policy: Policy) -> list[Fault]:
    """Return what is wrong with a policy, by field."""
    faults = [
        Fault(name, "INVALID_FIELD", f"{name} must not be negative")
        for name in sorted(AMOUNTS)
        if (getattr(policy, name) or 0) < 0
    ]
    if policy.approve_within_s <= 0:
        faults.append(Fault("approve_within_s", "INVALID_FIELD", "approve_within_s must be at least 1"))
    if policy.payouts_per_minute is not None and policy.payouts_per_minute <= 0:
        faults.append(Fault("payouts_per_minute", "INVALID_FIELD", "payouts_per_minute must be at least 1"))
    if not 1 <= policy.refund_within_days <= DAYS_MAX:
        faults.append(Fault("refund_within_days", "INVALID_FIELD", f"refund_within_days is 1 to {DAYS_MAX}"))
    if policy.block_from_units is None:
        faults.append(Fault("block_from_units", "INVALID_FIELD", "block_from_units must be an amount"))
    least, most = policy.charge_min_units, policy.charge_max_units
    if least is not None and most is not None and least > most:
        faults.append(Fault("charge_min_units", "INVALID_FIELD", "charge_min_units must not exceed charge_max_units"))
    return faults


def _policy(tx: ReadTx, owner: Owner, lock: str = "") -> Policy:
    names = ", ".join(Policy.__slots__)
    row = tx.one_or_none(
        f"select {names} from pix_policy where merchant_id = :merchant_id and mode = :mode{lock}",
        **owner.columns,
    )
    if row is None:
        return Policy()
    return Policy(**{name: bool(row[name]) if name in _FLAGS else row[name] for name in Policy.__slots__})
