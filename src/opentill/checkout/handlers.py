"""The payer's requests: parse, call, render. Every form is answered with a redirect to the page, which is always true.

Whoever knows the token may do what the payer may; that is what the token is for.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.checkout import faces, redirects, rules, view
from opentill.checkout.model import Situation, Stage
from opentill.checkout.rules import REDIRECT
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Conflict, Invalid, NotFound, Refused
from opentill.merchants import brands, gateways, options
from opentill.merchants import service as merchants
from opentill.merchants.gateways import ActiveGateway
from opentill.payments import conversion, flow, queries
from opentill.payments.invoices import queries as invoices
from opentill.payments.model import Conversion, Payment, PaymentStatus, SessionState
from opentill.payments.pix import service as pix
from opentill.payments.review import proofs, submissions
from opentill.payments.review import queries as reviews
from opentill.payments.review.proofs import Proof
from opentill.pix.identifiers import provider_txid
from opentill.web import forms
from opentill.web.browser import with_form_targets
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps, Use
from opentill.web.pages import Pages

NOTHING: Final[Mapping[str, str]] = {}
RENEWS: Final = "x-renews"  # header of the script that shows the page anew in place
NOTE_OF: Final = {  # what the page says after a refusal; anything else is "gone"
    "NO_PIX_KEY": "away",
    "PROVIDER_REFUSED": "away",
    "PROVIDER_UNAVAILABLE": "away",
    "SERVICE_UNAVAILABLE": "away",
    "TOO_MANY_TRIES": "often",
    "TRY_UNCONFIRMED": "waiting",
    "VALIDATION_ERROR": "unclear",
    "GATEWAY_NOT_FOUND": "unclear",
}


def create_checkout_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at `/checkout`."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    checkout = Checkout(deps, pages, Stamps(deps.keyring, deps.ids))
    return pages.application(
        [
            *faces.routes(deps.db),
            Route("/{token}", checkout.show),
            Route("/{token}/status", checkout.status),
            Route("/{token}/gateway", checkout.choose, methods=["POST"]),
            Route("/{token}/payment", checkout.pay, methods=["POST"]),
            Route("/{token}/submission", checkout.tell, methods=["POST"]),
            Route("/{token}/sandbox-bank", checkout.pay_at_sandbox_bank, methods=["POST"]),
            Route("/{token}/cancel", checkout.ask_whether_to_cancel),
            Route("/{token}/cancel", checkout.cancel, methods=["POST"]),
            Route("/{token}/return/{session}", checkout.come_back),
        ],
        surface="checkout",
    )


@dataclass(frozen=True, slots=True)
class Checkout:
    """The handlers, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps

    async def show(self, request: Request) -> Response:
        """Show how the payment stands and what the payer can do."""
        situation = await self._situation(request)
        stage = self._stage(request, situation)
        if self._leaves_at_once(request, situation, stage):
            return RedirectResponse(rules.way_back(situation.payment, stage) or "", HTTPStatus.SEE_OTHER)
        return self._render(request, situation, stage)

    async def status(self, request: Request) -> Response:
        """Tell a page's script how the payment stands, and whether the page is still true."""
        situation = await self._situation(request)
        stage = self._stage(request, situation)
        stamp = view.stamp_of(situation, stage, self.deps.clock.now())
        return JSONResponse({"status": situation.payment.status.value, "stage": stage.value, "stamp": stamp})

    async def choose(self, request: Request) -> Response:
        """Start paying through the gateway the payer chose."""
        form = await forms.read(request)
        situation = await self._situation(request)
        slug = form.get("gateway", "")
        if not self.stamps.fits(form, "choose", *view.choose_facts(situation.payment)):
            return self._to_page(situation, "stale")
        if slug not in {way.slug for way in rules.ways(situation)}:
            return self._to_page(situation, "unclear")
        return await self._once(
            situation, form, "choose", lambda: flow.choose_gateway(self.deps.tools, situation.payment.token, slug)
        )

    async def pay(self, request: Request) -> Response:
        """Hand the gateway's form to the gateway."""
        form = await forms.read(request)
        situation = await self._situation(request)
        if not self.stamps.fits(form, "pay", *view.pay_facts(situation)):
            return self._to_page(situation, "stale")
        return await self._once(
            situation, form, "pay", lambda: flow.submit(self.deps.tools, situation.payment.token, form)
        )

    async def pay_at_sandbox_bank(self, request: Request) -> Response:
        """Play the payer's bank app: pay the PIX code. The sandbox bank then tells us as a bank does."""
        form = await forms.read(request)
        situation = await self._situation(request)
        charge = situation.charge
        fits = self.stamps.fits(form, "pay", *view.pay_facts(situation))
        if charge is None or not fits or not rules.playable(situation, self._stage(request, situation)):
            return self._to_page(situation, "stale")
        return await self._once(
            situation,
            form,
            "sandbox-bank",
            lambda: self.deps.sandbox_bank.pay(provider_txid(charge.id)),
            note="played",
        )

    async def tell(self, request: Request) -> Response:
        """Take what the payer says of a payment made by hand, with its proofs."""
        situation = await self._situation(request)
        stage = self._stage(request, situation)
        if stage is not Stage.MANUAL:
            return self._to_page(situation, "gone")
        form, uploads = await forms.read_with_files(
            request, files_max=proofs.FILES_MAX, file_bytes_max=proofs.BYTES_MAX + 1
        )
        if not self.stamps.fits(form, "pay", *view.pay_facts(situation)):
            return self._to_page(situation, "stale")
        try:
            files = [proofs.accept(name, data) for name, data in uploads]
            language = self.pages.language_of(request).tag
            counted = await self.deps.db.write(lambda tx: self._submit(tx, situation.payment, form, files, language))
        except Invalid as wrong:
            faults = frozenset(fault.field for fault in wrong.faults)
            return self._render(request, situation, stage, typed=form, faults=faults)
        except Refused as refusal:
            return self._to_page(situation, NOTE_OF.get(refusal.code, "gone"))
        return self._to_page(situation, None if counted else "counted")

    def _submit(self, tx: Tx, payment: Payment, form: forms.Fields, files: Sequence[Proof], language: str) -> bool:
        """Record a submission unless its form was used; tell whether its provider id is new here."""
        deps, owner, now = self.deps, payment.owner, self.deps.clock.now()
        scope = f"checkout/{payment.uuid}/submission"
        if forms.use(tx, form, scope, owner=owner, keyring=deps.keyring, now=now) is not Use.FIRST:
            return True
        told = submissions.submit(
            tx,
            payment.id,
            form,
            files,
            owner=owner,
            language=language,
            ids=deps.ids,
            keyring=deps.keyring,
            now=now,
        )
        return told is not None

    async def ask_whether_to_cancel(self, request: Request) -> Response:
        """Ask once; a payment that is not to be cancelled any more is shown as it is."""
        situation = await self._situation(request)
        if self._stage(request, situation) not in rules.PAYABLE:
            return self._to_page(situation)
        return self._render(request, situation, Stage.CANCELLING)

    async def cancel(self, request: Request) -> Response:
        """End the payment and send the payer back to the shop, unless money was faster."""
        form = await forms.read(request)
        situation = await self._situation(request)
        if not self.stamps.fits(form, "cancel", *view.choose_facts(situation.payment)):
            return self._to_page(situation, "stale")
        answer = await self._once(
            situation, form, "cancel", lambda: flow.cancel(self.deps.tools, situation.payment.token)
        )
        ended = (await self._situation(request)).payment
        cancelled = ended.status is PaymentStatus.CANCELLED and ended.cancel_url
        url = rules.way_back(ended, Stage.CANCELLED) if cancelled else None
        return RedirectResponse(url, HTTPStatus.SEE_OTHER) if url else answer

    async def come_back(self, request: Request) -> Response:
        """Ask the gateway how a try ended, before anything is shown: a lost callback heals here."""
        situation = await self._situation(request)
        session = situation.session
        if (
            session is not None
            and session.reference == request.path_params["session"]
            and session.state is SessionState.UNKNOWN
        ):
            await flow.check_session(self.deps.tools, session)
        return self._to_page(situation)

    async def _situation(self, request: Request) -> Situation:
        """Read what decides the page. Raises NotFound for a token nobody was given."""
        token, keyring = request.path_params["token"], self.deps.keyring

        def load(tx: ReadTx) -> Situation | None:
            payment = queries.by_token(tx, token, keyring=keyring)
            if payment is None:
                return None
            if payment.redirect_url is None and payment.callback_url is not None:
                payment = rules.with_fallback(payment, options.of_merchant(tx, payment.owner))
            offered, session = gateways.active(tx, owner=payment.owner), queries.last_session(tx, payment)
            by_hand = session is not None and session.state is SessionState.OPEN
            return Situation(
                payment=payment,
                merchant=merchants.merchant_of(tx, payment.owner),
                offered=offered,
                charges=self._charges(tx, payment, offered),
                manual=gateways.manual(tx, session.gateway, owner=payment.owner) if session and by_hand else None,
                session=session,
                charge=pix.charge_of(tx, payment),
                brand=brands.brand_of(tx, payment.owner),
                invoice=invoices.by_token(tx, payment.invoice.token, keyring=keyring) if payment.invoice else None,
                question=reviews.question(tx, payment) if payment.under_review else None,
            )

        situation = await self.deps.db.read(load)
        if situation is None:
            raise NotFound("PAYMENT_NOT_FOUND", "No such payment.")
        return situation

    def _charges(
        self, tx: ReadTx, payment: Payment, offered: Sequence[ActiveGateway]
    ) -> Mapping[str, Conversion | None]:
        """Return what each gateway that takes the payment would charge, where that is not its own amount."""
        charges = {}
        for way in offered if payment.open else ():
            with suppress(Conflict):
                charges[way.slug] = conversion.fix(
                    tx, payment.amount, way, owner=payment.owner, now=self.deps.clock.now()
                )
        return charges

    def _leaves_at_once(self, request: Request, situation: Situation, stage: Stage) -> bool:
        """Tell whether the payer goes straight back to the shop. A script that renews the page cannot: it goes on."""
        return (
            situation.brand.after_payment == REDIRECT
            and RENEWS not in request.headers
            and self._goes_on(request, situation, stage)
        )

    def _goes_on(self, request: Request, situation: Situation, stage: Stage) -> bool:
        stays = "stay" in request.query_params
        return rules.goes_on(situation.payment, stage, stays=stays, now=self.deps.clock.now())

    def _stage(self, request: Request, situation: Situation) -> Stage:
        return rules.stage_of(
            situation,
            choosing="choose" in request.query_params,
            correcting="correct" in request.query_params,
            now=self.deps.clock.now(),
        )

    def _render(
        self,
        request: Request,
        situation: Situation,
        stage: Stage,
        *,
        typed: Mapping[str, str] = NOTHING,
        faults: Collection[str] = (),
    ) -> Response:
        made = view.make(
            situation,
            stage,
            choosing="choose" in request.query_params,
            correcting="correct" in request.query_params,
            note=request.query_params.get("note"),
            stays="stay" in request.query_params,
            language=self.pages.language_of(request).tag,
            typed=typed,
            faults=faults,
            stamps=self.stamps,
            now=self.deps.clock.now(),
        )
        headers = {}
        target = rules.form_target(situation, stage)
        if target is not None:
            origin = redirects.origin_of(target)
            headers["Content-Security-Policy"] = with_form_targets((origin,) if origin else ())
        status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
        return self.pages.render(request, "checkout/checkout.html", {"view": made}, status=status, headers=headers)

    async def _once(
        self,
        situation: Situation,
        form: forms.Fields,
        action: str,
        do: Callable[[], Awaitable[object]],
        *,
        note: str | None = None,
    ) -> Response:
        """Do what a form asks for unless that was done; either way show how things stand then."""
        payment = situation.payment
        scope = f"checkout/{payment.uuid}/{action}"
        seen = await self.deps.db.write(
            lambda tx: forms.use(
                tx, form, scope, owner=payment.owner, keyring=self.deps.keyring, now=self.deps.clock.now()
            )
        )
        if seen is not Use.FIRST:
            return self._to_page(situation, "used" if seen is Use.CHANGED else None)
        try:
            await do()
        except Refused as refusal:
            return self._to_page(situation, NOTE_OF.get(refusal.code, "gone"))
        return self._to_page(situation, note)

    def _to_page(self, situation: Situation, note: str | None = None) -> Response:
        """Send the browser to the page with GET, so that reloading it repeats nothing."""
        query = f"?{urlencode({'note': note})}" if note else ""
        return RedirectResponse(f"/checkout/{situation.payment.token}{query}", HTTPStatus.SEE_OTHER)
