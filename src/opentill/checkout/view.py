"""The page's facts, ready for its template."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from opentill.checkout import rules
from opentill.checkout.faces import Face, face_of
from opentill.checkout.model import Situation, Stage
from opentill.gateways.sandbox import BY_AMOUNT, Outcome
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.mode import Mode
from opentill.merchants.gateways import ActiveGateway, ManualGateway
from opentill.payments.invoices.model import Invoice
from opentill.payments.model import Conversion, Payment
from opentill.pix import qr
from opentill.web.forms import Stamp, Stamps

GO_ON_S: Final = 5
LINES_MAX: Final = 12  # of an invoice, beside the payment
STAMP_HEX: Final = 16
NOTES: Final = frozenset({"counted", "stale", "used", "unclear", "waiting", "often", "away", "gone", "played"})
REFRESH_S: Final = {  # where no script runs
    Stage.PREPARING: 3,
    Stage.CONFIRMING: 3,
    Stage.CODE: 15,
    Stage.REVIEW: 30,
}


@dataclass(frozen=True, slots=True)
class ByHand:
    """How to pay by hand: the merchant's way, its steps in the payer's language, and its picture."""

    gateway: ManualGateway
    steps: Sequence[str]
    qr: Markup | None


@dataclass(frozen=True, slots=True)
class View:
    """All the templates know."""

    payment: Payment
    merchant: str
    sandbox: bool
    stage: Stage
    choosing: bool  # the payer asked for another way
    correcting: bool  # the payer asked to send anew what they sent
    question: str | None  # what the merchant asks the payer
    note: str | None  # what became of the payer's last step
    stamp: str  # differs when the page would look different
    live: bool
    refresh_s: int | None
    counts_down: bool
    left_s: int
    ways: Sequence[ActiveGateway]
    has_other_ways: bool
    opens_at_once: bool
    declined: bool
    reason: str | None  # why it was, in the provider's words
    last_way: str | None
    way_name: str | None
    code: str | None
    qr: Markup | None
    playable: bool
    outcomes: Sequence[str]
    usual_outcome: str
    since: Instant
    waited_long: bool
    back_url: str | None
    goes_on: bool
    go_on_s: int
    face: Face
    invoice: Invoice | None
    lines_max: int
    charges: Mapping[str, Conversion | None]
    by_hand: ByHand | None
    typed: Mapping[str, str]
    faults: Collection[str]
    choose_stamp: Stamp
    pay_stamp: Stamp
    cancel_stamp: Stamp

    @property
    def corrects(self) -> bool:
        """Tell whether the payer said before that they paid, and says it anew because they were asked something."""
        return self.stage is Stage.MANUAL and self.payment.under_review

    @property
    def left_text(self) -> str:
        """Return the time left as the countdown writes it: 29:41, 23:59:59."""
        hours, rest = divmod(self.left_s, 3600)
        text = f"{rest // 60:02}:{rest % 60:02}"
        return f"{hours}:{text}" if hours else text


def stamp_of(situation: Situation, stage: Stage, now: Instant) -> str:
    """Return a text that changes whenever the page has something new to show."""
    session = situation.session
    parts = (
        stage,
        situation.payment.updated_at,
        session and session.reference,
        session and session.state,
        situation.question,
        stage is Stage.CONFIRMING and rules.waited_long(situation, now),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:STAMP_HEX]


def choose_facts(payment: Payment) -> tuple[str, ...]:
    """Return what a form to choose a gateway was made for."""
    return (payment.token, str(payment.amount.units), payment.amount.currency.code)


def pay_facts(situation: Situation) -> tuple[str, ...]:
    """Return what a gateway's form was made for: this payment, this amount, this try."""
    session = situation.session
    tried = (session.gateway, session.reference) if session else ("", "")
    return (*choose_facts(situation.payment), *tried)


def make(
    situation: Situation,
    stage: Stage,
    *,
    choosing: bool,
    correcting: bool,
    note: str | None,
    stays: bool,
    language: str,
    typed: Mapping[str, str],
    faults: Collection[str],
    stamps: Stamps,
    now: Instant,
) -> View:
    """Put together what the templates show."""
    payment, session = situation.payment, situation.session
    ways = rules.ways(situation)
    offered = stage in rules.PAYABLE
    code = situation.charge.code if situation.charge and stage in (Stage.CODE, Stage.CANCELLING) else None
    return View(
        payment=payment,
        merchant=situation.merchant.name,
        sandbox=payment.owner.mode is Mode.SANDBOX,
        stage=stage,
        choosing=choosing,
        correcting=correcting,
        question=situation.question,
        note=note if note in NOTES else None,
        stamp=stamp_of(situation, stage, now),
        live=offered or stage in rules.WAITING or (stage is Stage.EXPIRED and situation.charge is not None),
        refresh_s=REFRESH_S.get(stage),
        counts_down=offered and not payment.under_review,
        left_s=max(0, payment.expires_at - now) // SECOND,
        ways=ways,
        has_other_ways=len(ways) > 1,
        opens_at_once=len(ways) == 1 and session is None and note is None,
        declined=rules.declined(situation),
        reason=session.reason if session and session.reason != "declined" else None,
        last_way=session.gateway if session else None,
        way_name=next((way.name for way in situation.offered if way.slug == payment.gateway), payment.gateway),
        code=code,
        qr=Markup(qr.svg(code)) if code and stage is Stage.CODE else None,  # noqa: S704 - drawn by us
        playable=rules.playable(situation, stage),
        outcomes=[outcome.value for outcome in Outcome],
        usual_outcome=BY_AMOUNT.get(payment.amount.minor % 100, Outcome.PAID).value,
        since=session.opened_at if session else payment.updated_at,
        waited_long=rules.waited_long(situation, now),
        back_url=rules.way_back(payment, stage),
        goes_on=rules.goes_on(payment, stage, stays=stays, now=now),
        go_on_s=1 if situation.brand.after_payment == rules.REDIRECT else GO_ON_S,
        face=face_of(situation.brand),
        invoice=situation.invoice,
        lines_max=LINES_MAX,
        charges=situation.charges,
        by_hand=_by_hand(situation.manual, language) if situation.manual and stage is Stage.MANUAL else None,
        typed=typed,
        faults=faults,
        choose_stamp=stamps.make("choose", *choose_facts(payment)),
        pay_stamp=stamps.make("pay", *pay_facts(situation)),
        cancel_stamp=stamps.make("cancel", *choose_facts(payment)),
    )


def _by_hand(manual: ManualGateway, language: str) -> ByHand:
    drawn = Markup(qr.svg(manual.text("qr_text"))) if manual.text("qr_text") else None  # noqa: S704 - drawn by us
    return ByHand(manual, manual.steps(language), drawn)
