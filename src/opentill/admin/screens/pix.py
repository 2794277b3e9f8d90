"""The rail's own lists: charges, and what went back or came back; bank accounts, and what they may move."""

from dataclasses import asdict
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.reading import amount
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.money import Money, render
from opentill.payments.pix import queries
from opentill.pix import policy as policies
from opentill.pix.model import BRL, State
from opentill.pix.policy import Policy

PAGE: Final = 50
CHARGE_STATES: Final = tuple(state.value for state in State)
LIMITS: Final = (  # amounts of the policy; empty: no limit
    "payout_max", "payout_day", "payout_night", "approve_from", "charge_min", "charge_max", "block_from",
)  # fmt: skip
HOURS_MAX: Final = 24 * 30
PER_MINUTE_MAX: Final = 10_000
REFUND_DAYS_MAX: Final = 90


async def charges(visit: Visit) -> Response:
    """List charges with the payment of each, newest first."""
    state, before = visit.query("state"), visit.query("before")
    found = await visit.read(
        lambda tx: queries.charges(
            tx,
            owner=visit.owner,
            limit=PAGE + 1,
            state=state if state in CHARGE_STATES else None,
            before=before or None,
        )
    )
    facts = {"charges": found[:PAGE], "more": len(found) > PAGE, "states": CHARGE_STATES}
    return visit.render("admin/pix/charges.html", facts)


async def returns(visit: Visit) -> Response:
    """List what went back to payers and what came back of payouts, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: queries.returns(tx, owner=visit.owner, limit=PAGE + 1, before=Instant(before) if before else None)
    )
    return visit.render("admin/pix/returns.html", {"returns": found[:PAGE], "more": len(found) > PAGE})


async def show_policy(visit: Visit) -> Response:
    """Show what the merchant may send and charge."""
    policy = await visit.read(lambda tx: policies.policy_of(tx, owner=visit.owner))
    return visit.render("admin/pix/policy.html", _policy_facts(policy))


async def set_policy(visit: Visit) -> Response:
    """Say what the merchant may send and charge; it holds from now on."""
    before = await visit.read(lambda tx: policies.policy_of(tx, owner=visit.owner))
    try:
        policy = _read_policy(visit)
    except Invalid as wrong:
        return visit.wrong("admin/pix/policy.html", wrong, _policy_facts(before))

    def saved(tx: Tx, log: Journalist) -> None:
        was = policies.lock_policy(tx, owner=visit.owner)
        policies.set_policy(tx, policy, owner=visit.owner)
        log("pix_policy.set", f"merchant:{visit.path('merchant')}", before=asdict(was), after=asdict(policy))

    await visit.write(saved)
    return visit.go(f"{visit.home}/policy", note="saved")


def _policy_facts(policy: Policy) -> dict[str, Any]:
    units = {name: getattr(policy, f"{name}_units") for name in LIMITS}
    limits = {name: render(Money(value, BRL)) if value else "" for name, value in units.items()}
    return {"policy": policy, "limits": limits}


def _read_policy(visit: Visit) -> Policy:
    """Return the policy of the form. Raises Invalid with every fault."""
    faults: list[Fault] = []
    amounts = {name: amount(visit, name, BRL, faults) for name in LIMITS}
    units = {name: None if value is None else value.units for name, value in amounts.items()}
    hours = _whole(visit, "approve_within_hours", HOURS_MAX, faults)
    days = _whole(visit, "refund_within_days", REFUND_DAYS_MAX, faults)
    per_minute = _whole(visit, "payouts_per_minute", PER_MINUTE_MAX, faults)
    least, most = units["charge_min"], units["charge_max"]
    if least is not None and most is not None and least > most:
        faults.append(Fault("charge_max", "LIMITS_CROSSED", "The largest amount is below the smallest."))
    if faults:
        raise Invalid(faults)
    return Policy(
        payouts=bool(visit.field("payouts")),
        approve_from_units=units["approve_from"],
        approve_distinct=bool(visit.field("approve_distinct")),
        approve_within_s=(hours or 24) * 3_600,
        payout_max_units=units["payout_max"],
        payout_day_units=units["payout_day"],
        payout_night_units=units["payout_night"],
        payouts_per_minute=per_minute,
        charge_min_units=least,
        charge_max_units=most,
        refund_within_days=days or REFUND_DAYS_MAX,
        block_from_units=units["block_from"] or 0,
    )


def _whole(visit: Visit, name: str, most: int, faults: list[Fault]) -> int | None:
    text = visit.field(name)
    if text and not 1 <= number(text) <= most:
        faults.append(Fault(name, "NUMBER_INVALID", "Enter a whole number within the limits beside it, or nothing."))
        return None
    return number(text) or None


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/charges", charges, "payments.view"),
    Screen("GET", "/m/{merchant}/returns", returns, "refunds.view"),
    Screen("GET", "/m/{merchant}/policy", show_policy, "gateways.view"),
    Screen("POST", "/m/{merchant}/policy", set_policy, "gateways.manage", fresh=True),
)
