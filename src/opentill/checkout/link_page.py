"""/pay/<slug>: where anybody pays at a payment link. The form makes a payment and leads to its checkout (§11.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.checkout import link_form
from opentill.checkout.faces import Face, face_of
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.mode import Mode
from opentill.merchants import brands
from opentill.merchants import service as merchants
from opentill.merchants.model import Merchant
from opentill.payments import queries as payments
from opentill.payments.links import queries, rules, service
from opentill.payments.links.model import Kind, Link, Question
from opentill.payments.links.service import Answers
from opentill.web import forms
from opentill.web.addresses import caller_address
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamp, Stamps, Use
from opentill.web.pages import Pages

TRIES_MAX: Final = 20  # payments one address may ask for in a minute
ACTION: Final = "pay-link"
MERCHANT_AWAY: Final = "merchant"  # why nobody can pay, beside the reasons of the link itself


@dataclass(frozen=True, slots=True)
class Shown:
    """A link with everything its page shows, read in one transaction."""

    link: Link
    merchant: Merchant
    face: Face
    closed: str | None


@dataclass(frozen=True, slots=True)
class View:
    """What the template knows."""

    link: Link
    face: Face
    sandbox: bool
    closed: str | None
    stale: bool
    typed: Mapping[str, str]
    faults: Mapping[str, str]
    stamp: Stamp

    def name_of(self, question: Question) -> str:
        return link_form.QUESTION + question.key

    def input_type(self, question: Question) -> str:
        return "email" if question.kind is Kind.EMAIL else "text"


def create_pay_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at `/pay`."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    link_page = LinkPage(deps, pages)
    routes = [Route("/{slug}", link_page.show), Route("/{slug}", link_page.pay, methods=["POST"])]
    return pages.application(routes, surface="pay")


class LinkPage:
    """The handlers, and what they are given."""

    def __init__(self, deps: Dependencies, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages
        self._stamps = Stamps(deps.keyring, deps.ids)
        self._tries = deps.limits.counters("pay", open_at_failure=False)

    async def show(self, request: Request) -> Response:
        """Show what the link is for and ask who pays."""
        return self._render(request, await self._shown(request), stale="stale" in request.query_params)

    async def pay(self, request: Request) -> Response:
        """Make the payment that was asked for, and lead to its checkout."""
        form = await forms.read(request)
        shown = await self._shown(request)
        if not self._stamps.fits(form, ACTION, *_facts(shown.link)):
            return self._render(request, shown, typed=form, stale=True)
        answers, faults = link_form.read(form, shown.link)
        if faults:
            return self._render(request, shown, typed=form, faults=faults)
        if await self._too_many(request):
            return self._pages.problem(request, "busy", HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "60"})
        try:
            token = await self._deps.db.write(lambda tx: self._once(tx, form, answers, shown))
        except Conflict:
            return self._render(request, await self._shown(request), typed=form)
        return RedirectResponse(f"/checkout/{token}", HTTPStatus.SEE_OTHER)

    def _once(self, tx: Tx, form: forms.Fields, answers: Answers, shown: Shown) -> str:
        """Make the payment of a form, or find the one it made before; return where it is paid."""
        deps, owner, now = self._deps, shown.merchant.owner, self._deps.clock.now()
        uuid = _uuid_of(deps.keyring.keyed_hash(form[forms.KEY], "link.payment"))
        seen = forms.use(tx, form, f"pay/{shown.link.uuid}", owner=owner, keyring=deps.keyring, now=now)
        if seen is Use.FIRST:
            made = service.pay(
                tx,
                shown.link.id,
                answers,
                merchant=shown.merchant,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
                uuid=uuid,
            )
            return made.token
        found = payments.find(tx, uuid, owner=owner, keyring=deps.keyring)
        if found is None:
            raise Conflict("FORM_USED", "This form was used before.")
        return found.token

    async def _shown(self, request: Request) -> Shown:
        """Read what decides the page. Raises NotFound for an address that no link has."""
        slug, now = request.path_params["slug"], self._deps.clock.now()

        def load(tx: ReadTx) -> Shown | None:
            link = queries.by_slug(tx, slug)
            if link is None:
                return None
            merchant = merchants.merchant_of(tx, link.owner)
            closed = rules.closed(link, now) if merchant.status == "active" else MERCHANT_AWAY
            return Shown(link, merchant, face_of(brands.brand_of(tx, link.owner)), closed)

        shown = await self._deps.db.read(load)
        if shown is None:
            raise NotFound("PAYMENT_LINK_NOT_FOUND", "No such payment link.")
        return shown

    def _render(
        self,
        request: Request,
        shown: Shown,
        *,
        typed: Mapping[str, str] | None = None,
        faults: Mapping[str, str] | None = None,
        stale: bool = False,
    ) -> Response:
        view = View(
            shown.link,
            shown.face,
            shown.link.owner.mode is Mode.SANDBOX,
            shown.closed,
            stale,
            typed or {},
            faults or {},
            self._stamps.make(ACTION, *_facts(shown.link)),
        )
        status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
        return self._pages.render(request, "checkout/link.html", {"view": view}, status=status)

    async def _too_many(self, request: Request) -> bool:
        peer = request.client.host if request.client else None
        forwarded = [value.encode("latin-1") for value in request.headers.getlist("x-forwarded-for")]
        address = caller_address(peer, forwarded, self._deps.settings.proxies)
        return (await self._tries.take(address, TRIES_MAX, self._deps.clock.now())).refused


def _facts(link: Link) -> tuple[str, ...]:
    """Return what the form was made for: this link, on these terms."""
    return (link.uuid, str(link.updated_at))


def _uuid_of(hashed: str) -> str:
    """Write a hash as a UUID of version 8 (RFC 9562): what one form makes has one name."""
    return f"{hashed[:8]}-{hashed[8:12]}-8{hashed[13:16]}-8{hashed[17:20]}-{hashed[20:32]}"
