"""Selling without a shop: payment links, invoices and customers; and how a merchant's pages look."""

from dataclasses import replace
from datetime import date
from typing import Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.reading import amount as read_amount
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.kernel.money import Currency, Money, UnknownCurrencyError, currency
from opentill.merchants import brands
from opentill.merchants import service as merchants
from opentill.merchants.brands import Brand
from opentill.payments.customers import queries as customers
from opentill.payments.customers import service as customer_service
from opentill.payments.invoices import letters as invoice_letters
from opentill.payments.invoices import queries as invoices
from opentill.payments.invoices import service as invoice_service
from opentill.payments.invoices.model import HUNDREDTHS, Invoice, Item
from opentill.payments.invoices.model import Terms as InvoiceTerms
from opentill.payments.invoices.wire import invoice_url
from opentill.payments.links import queries as links
from opentill.payments.links import rules as link_rules
from opentill.payments.links import service as link_service
from opentill.payments.links.model import Link
from opentill.payments.links.model import Terms as LinkTerms
from opentill.payments.model import Contact

PAGE: Final = 50
LOOK: Final = ("name", "colour", "support_email", "support_phone", "time_zone", "after_payment")  # for the audit log
TITLE_MAX: Final = 150
LINES: Final = 6  # of an invoice, as the form has them


async def link_list(visit: Visit) -> Response:
    """List the payment links, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: links.page(
            tx, links.Filters(), owner=visit.owner, now=visit.now, limit=PAGE + 1, before=before or None
        )
    )
    shown = [(link, link_rules.status_of(link, visit.now)) for link in found[:PAGE]]
    facts = {"links": shown, "more": len(found) > PAGE, "address": await visit.read(visit.address)}
    return visit.render("admin/selling/links.html", facts)


async def offer_link(visit: Visit) -> Response:
    return visit.render("admin/selling/link-new.html")


async def make_link(visit: Visit) -> Response:
    """Make a payment link."""
    try:
        terms = _link_terms(visit)

        def made(tx: Tx, log: Journalist) -> None:
            link = link_service.create(tx, terms, owner=visit.owner, ids=visit.deps.ids, now=visit.now)
            log("payment_link.created", f"link:{link.slug}", after={"title": terms.title})

        await visit.write(made)
    except Invalid as wrong:
        return visit.wrong("admin/selling/link-new.html", wrong)
    return visit.go(f"{visit.home}/links", note="made")


async def switch_link(visit: Visit) -> Response:
    """Switch a payment link on or off."""
    slug, on = visit.path("link"), visit.field("on") == "1"

    def switched(tx: Tx, log: Journalist) -> None:
        found = links.find(tx, slug, owner=visit.owner)
        if found is None:
            raise NotFound("PAYMENT_LINK_NOT_FOUND", "No such payment link.")
        link = link_service.locked(tx, found.id, owner=visit.owner)
        link_service.change(tx, link, _switched(link, on=on), now=visit.now)
        log("payment_link.on" if on else "payment_link.off", f"link:{link.slug}", before={"active": link.terms.active})

    await visit.write(switched)
    return visit.go(f"{visit.home}/links", note="saved")


async def invoice_list(visit: Visit) -> Response:
    """List the invoices, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: invoices.page(
            tx,
            invoices.Filters(),
            owner=visit.owner,
            keyring=visit.deps.keyring,
            now=visit.now,
            limit=PAGE + 1,
            before=before or None,
        )
    )
    return visit.render("admin/selling/invoices.html", {"invoices": found[:PAGE], "more": len(found) > PAGE})


async def offer_invoice(visit: Visit) -> Response:
    return visit.render("admin/selling/invoice-new.html", {"lines": LINES})


async def make_invoice(visit: Visit) -> Response:
    """Make a draft."""
    deps = visit.deps
    try:
        terms, billed = _invoice_terms(visit)

        def made(tx: Tx, log: Journalist) -> Invoice:
            merchant = merchants.merchant_of(tx, visit.owner)
            invoice = invoice_service.create(
                tx, terms, billed, merchant=merchant, ids=deps.ids, keyring=deps.keyring, now=visit.now
            )
            log("invoice.created", f"invoice:{invoice.number}", after={"total_units": terms.total.units})
            return invoice

        invoice = await visit.write(made)
    except Invalid as wrong:
        return visit.wrong("admin/selling/invoice-new.html", wrong, {"lines": LINES})
    return visit.go(f"{visit.home}/invoices/{invoice.uuid}", note="made")


async def invoice(visit: Visit) -> Response:
    """Show an invoice, where it stands, and what may be done."""
    found = await _invoice(visit)
    address = invoice_url(found, await visit.read(visit.address))
    return visit.render("admin/selling/invoice.html", {"invoice": found, "address": address})


async def change_invoice(visit: Visit) -> Response:
    """Send an invoice, cancel it, or note that it was paid elsewhere."""
    found, action, deps = await _invoice(visit), visit.path("action"), visit.deps
    place = f"{visit.home}/invoices/{found.uuid}"

    def changed(tx: Tx, log: Journalist) -> None:
        locked = invoice_service.locked(tx, found.id, owner=visit.owner, keyring=deps.keyring)
        if action == "send":
            sent = invoice_service.send(tx, locked, now=visit.now)
            link = invoice_url(sent, visit.address(tx))
            invoice_letters.post_link(tx, sent, link, ids=deps.ids, keyring=deps.keyring, now=visit.now)
        elif action == "cancel":
            invoice_service.cancel(tx, locked, keyring=deps.keyring, now=visit.now)
        elif action == "paid":
            invoice_service.pay_offline(tx, locked, keyring=deps.keyring, ids=deps.ids, now=visit.now)
        else:
            raise NotFound("INVOICE_NOT_FOUND", "No such invoice.")
        log(f"invoice.{action}", f"invoice:{found.number}", before={"status": locked.stored_status.value})

    await visit.write(changed)
    return visit.go(place, note="saved")


async def customer_list(visit: Visit) -> Response:
    """List customers, newest first, or find one by e-mail or telephone."""
    before, wanted = number(visit.query("before")), visit.query("who")
    filters = customers.Filters(email=wanted or None) if "@" in wanted else customers.Filters(phone=wanted or None)
    found = await visit.read(
        lambda tx: customers.page(
            tx, filters, owner=visit.owner, keyring=visit.deps.keyring, limit=PAGE + 1, before=before or None
        )
    )
    return visit.render("admin/selling/customers.html", {"customers": found[:PAGE], "more": len(found) > PAGE})


async def erase_customer(visit: Visit) -> Response:
    """Destroy what is known of a person; payments stay and show nobody."""
    uuid = visit.path("customer")

    def erased(tx: Tx, log: Journalist) -> None:
        customer_service.erase(tx, uuid, owner=visit.owner)
        log("customer.erased", f"customer:{uuid}")

    await visit.write(erased)
    return visit.go(f"{visit.home}/customers", note="removed")


async def appearance(visit: Visit) -> Response:
    """Show what payers see of the merchant."""
    found = await visit.read(lambda tx: brands.brand_of(tx, visit.owner))
    return visit.render("admin/selling/appearance.html", {"look": found})


async def change_appearance(visit: Visit) -> Response:
    """Save name, colour, support and the way after a payment."""
    colour = visit.field("colour").lower() if visit.field("own_colour") else None
    look = Brand(
        name=" ".join(visit.field("name").split())[:80],
        colour=colour,
        support_email=visit.field("support_email") or None,
        support_phone=visit.field("support_phone") or None,
        time_zone=visit.field("time_zone"),
        after_payment=visit.field("after_payment"),
    )

    def changed(tx: Tx, log: Journalist) -> None:
        before = brands.brand_of(tx, visit.owner)
        brands.set_brand(tx, look, owner=visit.owner)
        log(
            "merchant.appearance",
            f"merchant:{visit.path('merchant')}",
            before={name: getattr(before, name) for name in LOOK},
            after={name: getattr(look, name) for name in LOOK},
        )

    try:
        await visit.write(changed)
    except Invalid as wrong:
        return visit.wrong("admin/selling/appearance.html", wrong, {"look": look})
    return visit.go(f"{visit.home}/appearance", note="saved")


async def change_logo(visit: Visit) -> Response:
    """Save the picture that was sent, judged by its content, or remove the one there is."""
    picture = next((content for _, content in visit.files if content), None)

    def changed(tx: Tx, log: Journalist) -> None:
        before = brands.brand_of(tx, visit.owner).logo_digest
        brands.set_logo(tx, picture, owner=visit.owner, now=visit.now)
        after = brands.brand_of(tx, visit.owner).logo_digest
        log("merchant.logo", f"merchant:{visit.path('merchant')}", before={"digest": before}, after={"digest": after})

    try:
        await visit.write(changed)
    except Invalid as wrong:
        look = await visit.read(lambda tx: brands.brand_of(tx, visit.owner))
        return visit.wrong("admin/selling/appearance.html", wrong, {"look": look})
    return visit.go(f"{visit.home}/appearance", note="saved")


def _switched(link: Link, *, on: bool) -> LinkTerms:
    return replace(link.terms, active=on)


def _link_terms(visit: Visit) -> LinkTerms:
    """Return the terms of the form. Raises Invalid with every fault."""
    faults: list[Fault] = []
    of = _currency(visit, faults)
    title, uses = visit.field("title"), visit.field("max_uses")
    if not title or len(title) > TITLE_MAX:
        faults.append(Fault("title", "TITLE_REQUIRED", "Enter a title of at most 150 characters."))
    if uses and not (0 < number(uses) < 1_000_000):
        faults.append(Fault("max_uses", "USES_INVALID", "Enter a whole number, or nothing for any number of times."))
    amount = read_amount(visit, "amount", of, faults)
    if faults or of is None:
        raise Invalid(faults)
    return LinkTerms(
        title=title,
        currency=of,
        amount=amount,
        description=visit.field("description") or None,
        max_uses=number(uses) or None,
    )


def _invoice_terms(visit: Visit) -> tuple[InvoiceTerms, Contact]:
    """Return the terms of the form and who is billed. Raises Invalid with every fault."""
    faults: list[Fault] = []
    of = _currency(visit, faults)
    billed = Contact(visit.field("customer"), visit.field("email"), "")
    if not billed.name:
        faults.append(Fault("customer", "CUSTOMER_REQUIRED", "Enter who is billed."))
    items = [item for line in range(LINES) if (item := _item(visit, line, of, faults)) is not None]
    if not items and not faults:
        faults.append(Fault("description0", "ITEMS_NONE", "Enter at least one line."))
    try:
        due = date.fromisoformat(visit.field("due")) if visit.field("due") else None
    except ValueError:
        due = None
        faults.append(Fault("due", "DATE_INVALID", "Enter a date."))
    if faults or of is None:
        raise Invalid(faults)
    nothing = Money(0, of)
    terms = InvoiceTerms(of, tuple(items), nothing, nothing, notes=visit.field("notes") or None, due_on=due)
    return terms, billed


def _item(visit: Visit, line: int, of: Currency | None, faults: list[Fault]) -> Item | None:
    """Return one line of the form, or None where it is empty or wrong."""
    text = visit.field(f"description{line}")
    if not text or of is None:
        return None
    price = read_amount(visit, f"price{line}", of, faults)
    many = visit.field(f"quantity{line}").replace(",", ".") or "1"
    whole, _, part = many.partition(".")
    hundredths = number(whole) * HUNDREDTHS + number(part.ljust(2, "0")[:2])
    if price is None or not hundredths:
        faults.append(Fault(f"price{line}", "LINE_INVALID", "Enter how many and a price, for example 2 and 9.90."))
        return None
    return Item(text[:200], hundredths, price)


def _currency(visit: Visit, faults: list[Fault]) -> Currency | None:
    try:
        return currency(visit.field("currency").upper() or "BRL")
    except UnknownCurrencyError:
        faults.append(Fault("currency", "CURRENCY_UNKNOWN", "Enter a currency such as BRL."))
        return None


async def _invoice(visit: Visit) -> Invoice:
    uuid = visit.path("invoice")
    found = await visit.read(lambda tx: invoices.find(tx, uuid, owner=visit.owner, keyring=visit.deps.keyring))
    if found is None:
        raise NotFound("INVOICE_NOT_FOUND", "No such invoice.")
    return found


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/links", link_list, "links.view"),
    Screen("GET", "/m/{merchant}/links/new", offer_link, "links.manage"),
    Screen("POST", "/m/{merchant}/links/new", make_link, "links.manage"),
    Screen("POST", "/m/{merchant}/links/{link}/switch", switch_link, "links.manage"),
    Screen("GET", "/m/{merchant}/invoices", invoice_list, "invoices.view"),
    Screen("GET", "/m/{merchant}/invoices/new", offer_invoice, "invoices.manage"),
    Screen("POST", "/m/{merchant}/invoices/new", make_invoice, "invoices.manage"),
    Screen("GET", "/m/{merchant}/invoices/{invoice}", invoice, "invoices.view"),
    Screen("POST", "/m/{merchant}/invoices/{invoice}/{action}", change_invoice, "invoices.manage"),
    Screen("GET", "/m/{merchant}/customers", customer_list, "customers.view"),
    Screen("POST", "/m/{merchant}/customers/{customer}/erasure", erase_customer, "customers.erase", fresh=True),
    Screen("GET", "/m/{merchant}/appearance", appearance, "appearance.view"),
    Screen("POST", "/m/{merchant}/appearance", change_appearance, "appearance.manage"),
    Screen(
        "POST",
        "/m/{merchant}/appearance/logo",
        change_logo,
        "appearance.manage",
        file_bytes_max=brands.LOGO_BYTES_MAX + 1,
    ),
)
