"""/invoice/<token>: an invoice to read, print and pay. Paying leads to the checkout of its one payment (§11.6)."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.checkout.faces import Face, face_of
from opentill.db import ReadTx
from opentill.kernel.clock import to_datetime
from opentill.kernel.errors import Conflict, NotFound
from opentill.kernel.mode import Mode
from opentill.merchants import brands
from opentill.merchants import service as merchants
from opentill.merchants.brands import Brand
from opentill.merchants.model import Merchant
from opentill.payments.invoices import queries, service, wire
from opentill.payments.invoices.model import Invoice, Item
from opentill.payments.model import InvoiceStatus
from opentill.web import forms
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamp, Stamps
from opentill.web.pages import Pages

ACTION: Final = "pay-invoice"


@dataclass(frozen=True, slots=True)
class View:
    """What the template knows."""

    invoice: Invoice
    status: InvoiceStatus
    face: Face
    sandbox: bool
    issued_on: date  # where the merchant is
    payable: bool
    stale: bool
    stamp: Stamp

    def quantity(self, item: Item) -> Decimal:
        return Decimal(wire.quantity_text(item))


def create_invoice_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at `/invoice`."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    page = InvoicePage(deps, pages, Stamps(deps.keyring, deps.ids))
    routes = [Route("/{token}", page.show), Route("/{token}/payment", page.pay, methods=["POST"])]
    return pages.application(routes, surface="invoice")


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """The handlers, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps

    async def show(self, request: Request) -> Response:
        """Show the invoice as it stands."""
        invoice, merchant, brand = await self._shown(request)
        view = View(
            invoice,
            invoice.status(self.deps.clock.now()),
            face_of(brand),
            invoice.owner.mode is Mode.SANDBOX,
            to_datetime(invoice.created_at).astimezone(ZoneInfo(brand.time_zone)).date(),
            invoice.payable and merchant.status == "active",
            "stale" in request.query_params,
            self.stamps.make(ACTION, *_facts(invoice)),
        )
        return self.pages.render(request, "checkout/invoice.html", {"view": view})

    async def pay(self, request: Request) -> Response:
        """Lead to the checkout of the invoice's open payment, made now if there is none. Safe to repeat."""
        form = await forms.read(request)
        invoice, merchant, _ = await self._shown(request)
        if not self.stamps.fits(form, ACTION, *_facts(invoice)) or merchant.status != "active":
            return _to_page(invoice)
        deps, now = self.deps, self.deps.clock.now()
        try:
            payment = await deps.db.write(
                lambda tx: service.pay(tx, invoice.id, merchant=merchant, ids=deps.ids, keyring=deps.keyring, now=now)
            )
        except Conflict:
            return _to_page(invoice)
        return RedirectResponse(f"/checkout/{payment.token}", HTTPStatus.SEE_OTHER)

    async def _shown(self, request: Request) -> tuple[Invoice, Merchant, Brand]:
        """Read what decides the page. Raises NotFound for a token nobody was given."""
        token, keyring = request.path_params["token"], self.deps.keyring

        def load(tx: ReadTx) -> tuple[Invoice, Merchant, Brand] | None:
            invoice = queries.by_token(tx, token, keyring=keyring)
            if invoice is None:
                return None
            owner = invoice.owner
            return invoice, merchants.merchant_of(tx, owner), brands.brand_of(tx, owner)

        shown = await self.deps.db.read(load)
        if shown is None:
            raise NotFound("INVOICE_NOT_FOUND", "No such invoice.")
        return shown


def _facts(invoice: Invoice) -> tuple[str, ...]:
    """Return what the pay button was made for: this invoice, this total."""
    return (invoice.uuid, str(invoice.terms.total.units), invoice.terms.currency.code)


def _to_page(invoice: Invoice) -> Response:
    """Show the invoice anew: it is not what the button was pressed for any more."""
    return RedirectResponse(f"/invoice/{invoice.token}?stale=1", HTTPStatus.SEE_OTHER)
