"""The gateway `sandbox`: every outcome a card gateway can have, without money (merchant-api.md §15.3 rule 9).

The payer's page has a plain *Pay* button and one per outcome. What *Pay* does follows the last two digits of the
amount in minor units. The sandbox's own truth is a function of what was submitted and the time, so it survives a
restart and cannot disagree with itself.
"""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final, Literal

from opentill.gateways.port import (
    CallbackRequest,
    GatewaySession,
    NotAuthentic,
    PaidVerdict,
    RefundAnswer,
    RefundNews,
    RefundOrder,
    RefundState,
    RefundTerms,
    SessionNews,
    UnpaidVerdict,
    Verdict,
    VerdictState,
)
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.money import UNITS_PER_MINOR, Money, currency, parse
from opentill.kernel.secret import Secret, same

SIGNATURE: Final = "x-sandbox-signature"
TEXT_MAX: Final = 200  # characters
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
    REPEATED = "repeated"


BY_AMOUNT: Final = {
    2: Outcome.DECLINED,
    3: Outcome.PENDING,
    4: Outcome.ANSWER_LOST,
    5: Outcome.CALL_LOST,
    6: Outcome.SHORT,
    7: Outcome.REPEATED,
    8: Outcome.PAID_LATE,
}


REFUNDS_REFUSED: Final = 9  # last two digits of the payment
REFUND_ANSWERS_LOST: Final = 10


class SandboxGateway:
    """Plays a provider. For merchants in sandbox mode only."""

    slug: Final = "sandbox"
    name: Final = "Sandbox"
    kind: Final[Literal["api", "manual"]] = "api"
    capabilities: Final = frozenset(
        {"refund", "partial_refund", "callback", "fetch_status", "fetch_refund", "embedded", "sandbox"}
    )
    callback_methods: Final = frozenset({"POST"})
    refund_terms: Final = RefundTerms()

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

    async def refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        """Give money back. Raises TimeoutError where the answer is lost; it was given back all the same."""
        if order.received.minor % 100 == REFUND_ANSWERS_LOST:
            await asyncio.sleep(LOST_ANSWER_S)
            raise TimeoutError("the sandbox's answer was lost")
        return _refunded(order)

    async def fetch_refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        return _refunded(order)

    def named_session(self, request: CallbackRequest) -> str | None:
        """Return the session a callback names, unchecked. One of a refund names none."""
        try:
            return _text(_fields(request.body), "session")
        except NotAuthentic:
            return None

    def verify_callback(self, request: CallbackRequest, secret: Secret) -> SessionNews | RefundNews:
        """Check `X-Sandbox-Signature` (`sha256=` and the HMAC of the body), then read the body.

        `{"id", "session", "state", "ref", "amount", "currency", "reason"}`; of a refund `refund` in place of
        `session`. A state `paid` without an amount is money of no amount, which completes nothing.
        """
        expected = "sha256=" + hmac.new(secret.reveal().encode(), request.body, "sha256").hexdigest()
        if not same(request.headers.get(SIGNATURE, ""), expected):
            raise NotAuthentic("the signature does not fit")
        fields = _fields(request.body)
        event_id, reference = _text(fields, "id"), _text(fields, "refund")
        if reference is not None:
            return RefundNews(reference, _refund_answer(fields), event_id)
        session = _text(fields, "session")
        if session is None:
            raise NotAuthentic("it names neither a session nor a refund")
        return SessionNews(session, _verdict(fields), event_id)

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
            case Outcome.REPEATED:
                return replace(_paid(session, session.amount), times=3)
            case _:
                return _paid(session, session.amount)


def _submitted(session: GatewaySession) -> tuple[Outcome | None, int]:
    detail = json.loads(session.detail)
    return (Outcome(detail["outcome"]), detail["at"]) if detail else (None, 0)


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise NotAuthentic("the body is not a JSON object")
    return fields


def _text(fields: Mapping[str, object], name: str) -> str | None:
    """Return a field that may be absent. Anything but a text of sensible length is not the provider's."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or "\0" in value:
        raise NotAuthentic(f"'{name}' is not a text of at most {TEXT_MAX} characters")
    return value


def _verdict(fields: Mapping[str, object]) -> Verdict:
    match _text(fields, "state"):
        case "paid":
            try:
                amount = parse(_text(fields, "amount") or "0", currency(_text(fields, "currency") or ""))
            except ValueError as wrong:
                raise NotAuthentic("the amount cannot be read") from wrong
            return PaidVerdict(_text(fields, "ref") or f"sbx_{_text(fields, 'session')}", amount)
        case "pending":
            return UnpaidVerdict(VerdictState.PENDING)
        case "failed":
            return UnpaidVerdict(VerdictState.FAILED, _text(fields, "reason"))
        case "cancelled":
            return UnpaidVerdict(VerdictState.CANCELLED, _text(fields, "reason"))
        case _:
            raise NotAuthentic("'state' is none of paid, pending, failed and cancelled")


def _refund_answer(fields: Mapping[str, object]) -> RefundAnswer:
    match _text(fields, "state"):
        case "completed":
            return RefundAnswer(RefundState.COMPLETED, ref=_text(fields, "ref"))
        case "pending":
            return RefundAnswer(RefundState.PENDING, ref=_text(fields, "ref"))
        case "failed":
            return RefundAnswer(RefundState.FAILED, code="refused", message=_text(fields, "reason"))
        case _:
            raise NotAuthentic("'state' is none of completed, pending and failed")


def _refunded(order: RefundOrder) -> RefundAnswer:
    if order.received.minor % 100 == REFUNDS_REFUSED:
        return RefundAnswer(RefundState.FAILED, code="refused", message="The sandbox refuses refunds of this payment.")
    return RefundAnswer(RefundState.COMPLETED, ref="sbr_" + order.reference.replace("-", "")[-24:])


def _paid(session: GatewaySession, amount: Money) -> PaidVerdict:
    return PaidVerdict("sbx_" + session.reference.removeprefix("ses_"), amount)
