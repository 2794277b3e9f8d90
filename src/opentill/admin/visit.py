"""One request to a screen: who asks, about which merchant, with which form, and how to answer."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from opentill.admin import session
from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Fault, Forbidden, Invalid, Refused, filled
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.merchants import service as merchants
from opentill.merchants.queries import Brand
from opentill.operators import audit, reasons
from opentill.operators.model import Change, SignedIn
from opentill.web import error_codes, formats, forms
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Fields, Stamp, Stamps, Use
from opentill.web.languages import DEFAULT, Language
from opentill.web.pages import Pages

T = TypeVar("T")
NOBODY = Owner(0, Mode.LIVE)  # whose form it is where no merchant is concerned
REASON_MAX = 500  # characters

_ = str  # marks a text for the catalogues
SAID = {  # states whose own name is no word of a sentence
    "pending_review": _("in review"),
    "under_review": _("in review"),
    "awaiting_verification": _("to be verified"),
}


class StaleForm(Exception):  # noqa: N818 - the form was sent before; nothing is done a second time
    """A form that was used up already."""


class Journalist:
    """Writes the audit entries of one transaction, in the operator's name."""

    def __init__(self, visit: "Visit", tx: Tx) -> None:
        self._visit = visit
        self._tx = tx

    def __call__(self, action: str, subject: object, **detail: object) -> None:
        """Note a change. *detail* holds what was before and after, and no secrets."""
        visit = self._visit
        change = Change(
            visit.who.operator.actor,
            visit.caller.origin,
            action,
            str(subject),
            detail,
            visit.form.get("reason", "").strip()[:REASON_MAX],
            visit.brand.id if visit.brand else None,
        )
        audit.write(self._tx, change, now=visit.now)


class Visit:
    """What a handler is given. Its reads and writes name the owner it holds."""

    def __init__(
        self,
        request: Request,
        deps: Dependencies,
        pages: Pages,
        stamps: Stamps,
        who: SignedIn,
        brand: Brand | None,
        brands: Sequence[Brand],
    ) -> None:
        self.request = request
        self.deps = deps
        self.pages = pages
        self.who = who
        self.brand = brand
        self.brands = brands
        self.now: Instant = deps.clock.now()
        self.caller = session.caller_of(request, deps.settings)
        self.form: Fields = {}
        self.lists: Mapping[str, Sequence[str]] = {}
        self.files: Sequence[tuple[str, bytes]] = ()  # names and contents
        self._stamps = stamps

    @property
    def owner(self) -> Owner:
        """Return whose rows this visit may touch."""
        if self.brand is None:
            raise LookupError("this screen is not a merchant's")
        return self.brand.owner

    @property
    def home(self) -> str:
        """Return the path of the merchant's screens."""
        return f"/admin/m/{self.brand.slug}" if self.brand else "/admin"

    def address(self, tx: ReadTx) -> str:
        """Return what the links of the merchant begin with: the host of its own, where it has one that serves."""
        return merchants.merchant_of(tx, self.owner).address(self.deps.settings.public_url)

    def may(self, permission: str) -> bool:
        """Tell whether the operator has a permission here; templates ask it for every button."""
        return self.who.may(permission, self.brand.id if self.brand else None)

    def path(self, name: str) -> str:
        """Return what a brace of the path holds."""
        held: str = self.request.path_params[name]
        return held

    def query(self, name: str) -> str:
        """Return a parameter of the query, trimmed, without U+0000; empty where it is absent."""
        return self.request.query_params.get(name, "").replace("\0", "").strip()[:200]

    def field(self, name: str) -> str:
        """Return a field of the form, trimmed; empty where it is absent."""
        return self.form.get(name, "").strip()

    def stamp(self, action: str) -> Stamp:
        """Return the hidden fields of a form that posts to *action*, good in this session only."""
        return self._stamps.make("panel", self.who.public_id, action.partition("?")[0])

    def form_is_ours(self) -> bool:
        return self._stamps.fits(self.form, "panel", self.who.public_id, self.request.url.path)

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        return await self.deps.db.read(work)

    async def write(self, work: Callable[[Tx, Journalist], T]) -> T:
        """Do what the form asks, once, and together with its entries in the audit log.

        Raises StaleForm where the form was sent before.
        """

        def unit(tx: Tx) -> T:
            self.use_form(tx)
            before = audit.length(tx)
            result = work(tx, Journalist(self, tx))
            if audit.length(tx) == before:
                raise AssertionError(f"{self.request.url.path} changed something without an audit entry")
            return result

        return await self.deps.db.write(unit)

    def use_form(self, tx: Tx) -> None:
        """Use the form up. Raises StaleForm where it was sent before."""
        owner = self.brand.owner if self.brand else NOBODY
        used = forms.use(tx, self.form, self.request.url.path, owner=owner, keyring=self.deps.keyring, now=self.now)
        if used is not Use.FIRST:
            raise StaleForm

    def with_query(self, **changes: object) -> str:
        """Return this page's address with other parameters, for the links of a list."""
        kept = {name: self.query(name) for name in self.request.query_params if name not in ("note", "lang")}
        merged = {name: str(value) for name, value in (kept | changes).items() if value not in ("", None)}
        return f"{self.request.url.path}?{urlencode(merged)}"

    def render(self, template: str, facts: Mapping[str, Any] | None = None, *, status: int = HTTPStatus.OK) -> Response:
        """Return a page with the panel around it."""
        known = {
            "visit": self,
            "path": self.request.url.path,
            "note": self.query("note"),
            "faults": {},
            "typed": self.form,
            "why": self.why,
        }
        return self.pages.render(self.request, template, known | dict(facts or {}), status=status)

    def wrong(self, template: str, invalid: Invalid, facts: Mapping[str, Any] | None = None) -> Response:
        """Return the page again, with what was typed and what is wrong with it."""
        faults = {fault.field: self.told(fault) for fault in invalid.faults}
        return self.render(template, {"faults": faults} | dict(facts or {}), status=HTTPStatus.UNPROCESSABLE_ENTITY)

    def refused(self, refusal: Refused, back: str) -> Response:
        """Return the page that says why nothing was done, and leads back to where it was asked for."""
        told = [self.told(one) for one in (refusal.faults if isinstance(refusal, Invalid) else (refusal,))]
        return self.render("admin/refused.html", {"told": told, "back": back}, status=status_of(refusal))

    def told(self, refusal: Refused | Fault) -> str:
        """Return why something was refused, in the reader's language.

        A sentence that no translator saw gives way to what its code means.
        """
        language, meaning = self.pages.language_of(self.request), error_codes.BY_CODE.get(refusal.code)
        texts = language.texts
        if texts.gettext(refusal.text) != refusal.text or language.tag == DEFAULT or meaning is None:
            return self.say(refusal.text, refusal.named)
        return f"{texts.gettext(meaning.cause)} {texts.gettext(meaning.cure)}"

    def say(self, text: str, named: Mapping[str, object]) -> str:
        """Return a sentence in the reader's language, with what it names."""
        language = self.pages.language_of(self.request)
        return filled(language.texts.gettext(text), {name: _worded(one, language) for name, one in named.items()})

    def why(self, stored: str) -> str:
        """Return a stored reason in the reader's language; what somebody wrote themselves stays as they wrote it."""
        words, named = reasons.told(stored)
        return stored if words == stored else self.say(words, named)

    def go(self, place: str, *, note: str = "") -> Response:
        """Lead on to a path of the panel, which then shows a note."""
        query = f"{'&' if '?' in place else '?'}{urlencode({'note': note})}" if note else ""
        return RedirectResponse(place + query, HTTPStatus.SEE_OTHER)


def status_of(refusal: Refused) -> HTTPStatus:
    """Return the status of a page that says why something was refused."""
    if isinstance(refusal, Invalid):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.FORBIDDEN if isinstance(refusal, Forbidden) else HTTPStatus.CONFLICT


def _worded(named: object, language: Language) -> object:
    """Return what a sentence names as the reader writes it."""
    match named:
        case StrEnum():
            return language.texts.gettext(SAID.get(named, named))
        case Money():
            return formats.money(named, language.locale)
        case _:
            return named
