"""What the payer sees: decisions from values only (merchant-api.md §11)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never

from opentill.checkout import redirects
from opentill.checkout.model import Situation, Stage
from opentill.kernel.clock import HOUR, SECOND, Instant, after
from opentill.kernel.mode import Mode
from opentill.merchants.gateways import ActiveGateway
from opentill.merchants.options import Options
from opentill.payments.model import OPEN, Payment, PaymentStatus, SessionState
from opentill.payments.rules import MANUAL, shown_status
from opentill.pix.model import GATEWAY as PIX
from opentill.pix.model import LIVE, State

SANDBOX: Final = "sandbox"
REDIRECT: Final = "redirect"  # a merchant's wish that payers see no receipt
PAYABLE: Final = frozenset({Stage.CHOOSE, Stage.FORM, Stage.MANUAL, Stage.PREPARING, Stage.CODE})
WAITING: Final = frozenset({Stage.PREPARING, Stage.CODE, Stage.CONFIRMING, Stage.CHECKING, Stage.REVIEW})
LONG: Final = 30 * SECOND  # a payer who has waited this long may go back to the shop
GOES_ON_FOR: Final = HOUR  # a receipt reopened later than this after the payment stays


def stage_of(situation: Situation, *, choosing: bool, correcting: bool, now: Instant) -> Stage:
    """Return where the payer stands.

    *choosing*: they asked for another way to pay; *correcting*: to send anew what they sent.
    """
    stage = _stage_of_payment(situation, choosing=choosing, correcting=correcting, now=now)
    return Stage.CLOSED if stage in PAYABLE and situation.merchant.status != "active" else stage


def _stage_of_payment(situation: Situation, *, choosing: bool, correcting: bool, now: Instant) -> Stage:
    payment = situation.payment
    match shown_status(payment, now):
        case PaymentStatus.COMPLETED:
            return Stage.COMPLETED
        case PaymentStatus.FAILED:
            return Stage.FAILED
        case PaymentStatus.CANCELLED:
            return Stage.CANCELLED
        case PaymentStatus.EXPIRED:
            return Stage.EXPIRED
        case PaymentStatus.PENDING | PaymentStatus.PROCESSING if payment.under_review:
            if situation.manual is None:
                return Stage.REVIEW
            return Stage.MANUAL if correcting and situation.question else Stage.CHECKING
        case PaymentStatus.PENDING:
            return Stage.CHOOSE
        case PaymentStatus.PROCESSING:
            return _while_paying(situation, choosing=choosing, now=now)
        case _ as never:
            assert_never(never)


def _while_paying(situation: Situation, *, choosing: bool, now: Instant) -> Stage:
    session, overdue = situation.session, now >= situation.payment.expires_at
    if session is None or session.state is not SessionState.OPEN:
        return Stage.CONFIRMING
    if choosing and not overdue:
        return Stage.CHOOSE
    if session.gateway != PIX:
        form = Stage.FORM if situation.manual is None else Stage.MANUAL
        return Stage.EXPIRED if overdue else form
    charge = situation.charge
    if charge is not None and charge.state is State.CREATING:
        return Stage.EXPIRED if overdue else Stage.PREPARING
    if charge is not None and charge.state in LIVE and charge.code:
        return Stage.CONFIRMING if overdue else Stage.CODE
    return Stage.EXPIRED if overdue else Stage.CHOOSE


def ways(situation: Situation) -> Sequence[ActiveGateway]:
    """Return the ways this payment can be paid. A fixed one is the only one; a preferred one comes first."""
    payment = situation.payment
    able = [way for way in situation.offered if _able(way.slug, situation)]
    if payment.gateway_fixed:
        return [way for way in able if way.slug == payment.gateway or (way.manual and payment.gateway == MANUAL)]
    return sorted(able, key=lambda way: way.slug != payment.gateway)


def _able(slug: str, situation: Situation) -> bool:
    if slug not in situation.charges:
        return False
    if slug == PIX:
        charge = situation.charge
        return charge is None or charge.state is State.CREATING or charge.state in LIVE
    return slug != SANDBOX or situation.payment.owner.mode is Mode.SANDBOX


def declined(situation: Situation) -> bool:
    """Tell whether the newest try was turned down and the payer may try again."""
    session = situation.session
    return (
        situation.payment.status is PaymentStatus.PENDING
        and session is not None
        and session.state is SessionState.DECLINED
    )


def playable(situation: Situation, stage: Stage) -> bool:
    """Tell whether the payer may play their own bank: a PIX code of the sandbox waits to be paid."""
    return stage is Stage.CODE and situation.payment.owner.mode is Mode.SANDBOX


def with_fallback(payment: Payment, options: Options) -> Payment:
    """Return a payment without a return address as its payer meets it (merchant-api.md §9.3)."""
    wanted = options.redirect_fallback == "callback_url"
    return replace(payment, redirect_url=payment.callback_url) if wanted else payment


def way_back(payment: Payment, stage: Stage) -> str | None:
    """Return where the payer leaves to, with our parameters; None while there is something to pay here."""
    status = _word(payment, stage)
    if status is None:
        return None
    if status in (PaymentStatus.COMPLETED, PaymentStatus.PROCESSING):
        url = payment.redirect_url
    else:
        url = payment.cancel_url or payment.redirect_url
    if url is None or not url.lower().startswith(("https://", "http://")):
        return None
    parameters = {"payment_id": payment.uuid, "transaction_id": payment.reference}
    if payment.order_id:
        parameters["order_id"] = payment.order_id
    return redirects.with_parameters(url, parameters | {"status": status.value})


def _word(payment: Payment, stage: Stage) -> PaymentStatus | None:
    """Return the word the shop is told."""
    if stage in PAYABLE or stage in (Stage.CANCELLING, Stage.CLOSED):
        return None
    if stage is Stage.EXPIRED:
        return PaymentStatus.EXPIRED
    return PaymentStatus.PROCESSING if payment.status in OPEN else payment.status


def form_target(situation: Situation, stage: Stage) -> str | None:
    """Return the shop's address that a form of this page may end at, after a redirect."""
    payment = situation.payment
    if stage is Stage.CANCELLING:
        return payment.cancel_url
    if stage in PAYABLE and situation.brand.after_payment == REDIRECT:
        return payment.redirect_url
    return None


def waited_long(situation: Situation, now: Instant) -> bool:
    """Tell whether the payer has waited long enough to be shown the way back."""
    return situation.session is None or now >= after(situation.session.opened_at, LONG)


def goes_on(payment: Payment, stage: Stage, *, stays: bool, now: Instant) -> bool:
    """Tell whether the receipt takes the payer back to the shop by itself."""
    return (
        stage is Stage.COMPLETED
        and not stays
        and payment.completed_at is not None
        and now < after(payment.completed_at, GOES_ON_FOR)
        and way_back(payment, stage) is not None
    )
