"""The gateway `sandbox`: every outcome a card gateway can have, without money (merchant-api.md §15.3 rule 9).

The payer's page has a plain *Pay* button and one per outcome. What *Pay* does follows the last two digits of the
amount in minor units. The sandbox's own truth is a function of what was submitted and the time, so it survives a
restart and cannot disagree with itself.
"""

import asyncio
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

from opentill.gateways.port import GatewaySession, PaidVerdict, UnpaidVerdict, Verdict, VerdictState
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.money import UNITS_PER_MINOR, Money

DELAY: Final = 5 * SECOND  # how long "pending, then paid" and "paid late" take
LOST_ANSWER_S: Final = 0.3  # how long a lost call takes to look lost


class Outcome(StrEnum):
    """What the sandbox does with a submission."""

    PAID = "paid"
    DECLINED = "declined"
    PENDING = "pending"
    ANSWER_LOST = "answer_lost"
    CALL_LOST = "call_lost"
    SHORT = "short"
    PAID_LATE = "paid_late"


BY_AMOUNT: Final = {
    2: Outcome.DECLINED,
    3: Outcome.PENDING,
    4: Outcome.ANSWER_LOST,
    5: Outcome.CALL_LOST,
    6: Outcome.SHORT,
    8: Outcome.PAID_LATE,
}


class SandboxGateway:
    """Plays a provider. For merchants in sandbox mode only."""

    slug: Final = "sandbox"
    name: Final = "Sandbox"
    kind: Final[Literal["api", "manual"]] = "api"
    capabilities: Final = frozenset({"fetch_status", "embedded", "sandbox"})

    def read_form(self, form: Mapping[str, str], session: GatewaySession, *, now: Instant) -> str | None:
        """Read the pressed button: `outcome=pay` leaves the choice to the amount."""
        chosen = form.get("outcome", "pay")
        if chosen == "pay":
            chosen = BY_AMOUNT.get(session.amount.minor % 100, Outcome.PAID).value
        if chosen not in set(Outcome):
            return None
        return json.dumps({"outcome": chosen, "at": now})

    async def pay(self, session: GatewaySession, *, now: Instant) -> Verdict:
        """Carry out the submission. Raises TimeoutError where the call or its answer is lost."""
        if _submitted(session)[0] in (Outcome.ANSWER_LOST, Outcome.CALL_LOST):
            await asyncio.sleep(LOST_ANSWER_S)
            raise TimeoutError("the sandbox's answer was lost")
        return self._truth(session, now)

    async def fetch_status(self, session: GatewaySession, *, now: Instant) -> Verdict:
        return self._truth(session, now)

    def _truth(self, session: GatewaySession, now: Instant) -> Verdict:
        outcome, at = _submitted(session)
        match outcome:
            case None:
                return UnpaidVerdict(VerdictState.PENDING)
            case Outcome.DECLINED:
                return UnpaidVerdict(VerdictState.FAILED, reason="The card was declined.")
            case Outcome.CALL_LOST:
                return UnpaidVerdict(VerdictState.FAILED, reason="The provider never got the payment.")
            case Outcome.PENDING if now < at + DELAY:
                return UnpaidVerdict(VerdictState.PENDING)
            case Outcome.PAID_LATE if now < session.expires_at + DELAY:
                return UnpaidVerdict(VerdictState.PENDING)
            case Outcome.SHORT if session.amount.units <= UNITS_PER_MINOR:
                return UnpaidVerdict(VerdictState.FAILED, reason="Less than this cannot be paid.")
            case Outcome.SHORT:
                short = Money(session.amount.units - UNITS_PER_MINOR, session.amount.currency)
                return _paid(session, short)
            case _:
                return _paid(session, session.amount)


def _submitted(session: GatewaySession) -> tuple[Outcome | None, int]:
    detail = json.loads(session.detail)
    return (Outcome(detail["outcome"]), detail["at"]) if detail else (None, 0)


def _paid(session: GatewaySession, amount: Money) -> Verdict:
    return PaidVerdict("sbx_" + session.reference.removeprefix("ses_"), amount)
