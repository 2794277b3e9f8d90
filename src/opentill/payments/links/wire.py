"""Payment links on the wire of the merchant API (merchant-api.md §9.8)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Invalid
from opentill.kernel.money import Money, currency, render
from opentill.payments.fields import Fields
from opentill.payments.links.model import FIELDS_MAX, Kind, Link, Question, Terms
from opentill.payments.links.rules import status_of
from opentill.payments.wire import GATEWAY_MAX

TITLE_MAX: Final = 200
DESCRIPTION_MAX: Final = 2_000
LABEL_MAX: Final = 100
OPTIONS_MAX: Final = 50
USES_MAX: Final = 999_999_999
SLUG: Final = re.compile(r"[a-z0-9-]{3,80}", re.ASCII)
KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
STATUSES: Final = ("active", "inactive")


def parse_link(fields: Mapping[str, Any], *, callback_bare: bool = False) -> Terms:
    """Read the body of POST /payment-links. Raises Invalid with every fault."""
    return _terms(fields, active=True, callback_bare=callback_bare)


def parse_change(fields: Mapping[str, Any], link: Link) -> Terms:
    """Read the body of PATCH /payment-links: what is not sent stays as it is. Raises Invalid with every fault."""
    sent = {name: value for name, value in fields.items() if value is not None}
    read = Fields(sent)
    status = read.text("status")
    if status is not None and status not in STATUSES:
        read.fault("status", "VALIDATION_FAILED", "The status field must be active or inactive.")
    if read.faults:
        raise Invalid(read.faults)
    active = link.terms.active if status is None else status == "active"
    return _terms(_asked(link) | sent, active=active, callback_bare=link.terms.callback_bare)


def link_object(link: Link, base_url: str, *, now: Instant) -> dict[str, Any]:
    """Return the payment link object."""
    terms = link.terms
    return {
        "id": link.id,
        "uuid": link.uuid,
        "slug": link.slug,
        "url": link_url(link, base_url),
        "title": terms.title,
        "description": terms.description,
        "currency": terms.currency.code,
        "amount": _amount(terms.amount),
        "is_amount_fixed": terms.amount is not None,
        "min_amount": _amount(terms.least),
        "max_amount": _amount(terms.most),
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "max_uses": terms.max_uses,
        "expires_at": iso_seconds(terms.expires_at) if terms.expires_at is not None else None,
        "require_address": terms.require_address,
        "fields": [_question_object(question) for question in terms.questions],
        "gateway": terms.gateway,
        "metadata": json.loads(terms.metadata),
        "use_count": link.use_count,
        "status": status_of(link, now).value,
        "created_at": iso_seconds(link.created_at),
        "updated_at": iso_seconds(link.updated_at),
    }


def link_url(link: Link, base_url: str) -> str:
    return f"{base_url}/pay/{link.slug}"


def _terms(fields: Mapping[str, Any], *, active: bool, callback_bare: bool) -> Terms:
    read = Fields(fields)
    in_currency = read.currency()
    fixed = read.flag("is_amount_fixed", otherwise=True)
    least = None if fixed else read.amount(in_currency, "min_amount", required=False)
    most = None if fixed else read.amount(in_currency, "max_amount", required=False)
    if least is not None and most is not None and least.units > most.units:
        read.fault("max_amount", "INVALID_AMOUNT", "The max_amount must not be below the min_amount.")
    slug = read.text("slug")
    if slug is not None and SLUG.fullmatch(slug) is None:
        read.fault("slug", "VALIDATION_FAILED", "The slug field takes 3 to 80 of a-z, 0-9 and hyphens.")
    terms = Terms(
        title=read.text("title", required=True, most=TITLE_MAX) or "",
        currency=in_currency or currency("USD"),
        amount=read.amount(in_currency) if fixed else None,
        least=least,
        most=most,
        slug=slug,
        description=read.text("description", most=DESCRIPTION_MAX),
        redirect_url=read.url("redirect_url", code="INVALID_REDIRECT_URL"),
        callback_url=read.url("callback_url", code="INVALID_CALLBACK_URL"),
        callback_bare=callback_bare,
        gateway=read.text("gateway", most=GATEWAY_MAX),
        require_address=read.flag("require_address", otherwise=False),
        questions=_questions(read),
        metadata=read.metadata(),
        max_uses=read.whole("max_uses", least=1, most=USES_MAX),
        expires_at=read.time("expires_at"),
        active=active,
    )
    if read.faults:
        raise Invalid(read.faults)
    return terms


def _questions(read: Fields) -> tuple[Question, ...]:
    questions = tuple(_question(entry) for entry in read.items("fields", most=FIELDS_MAX))
    if len({question.key for question in questions}) < len(questions):
        read.fault("fields", "VALIDATION_FAILED", "Each of the fields needs a key of its own.")
    return questions


def _question(entry: Fields) -> Question:
    key = entry.text("key", required=True) or ""
    if key and KEY.fullmatch(key) is None:
        entry.fault("key", "VALIDATION_FAILED", "A key takes 1 to 40 of A-Z, a-z, 0-9, _ and -.")
    kind = entry.text("type") or Kind.TEXT
    if kind not in tuple(Kind):
        entry.fault("type", "VALIDATION_FAILED", f"The type must be one of {', '.join(Kind)}.")
        kind = Kind.TEXT
    return Question(
        key=key,
        label=entry.text("label", required=True, most=LABEL_MAX) or "",
        kind=Kind(kind),
        options=_options(entry, required=kind == Kind.SELECT),
        required=entry.flag("required", otherwise=False),
    )


def _options(entry: Fields, *, required: bool) -> tuple[str, ...]:
    name, value = entry.raw("options")
    if value is None and not required:
        return ()
    texts = value if isinstance(value, list) else []
    good = (
        texts
        and len(texts) <= OPTIONS_MAX
        and all(isinstance(text, str) and 0 < len(text) <= LABEL_MAX for text in texts)
    )
    if not good and (required or value != []):
        entry.fault(name, "VALIDATION_FAILED", f"The options must be a list of 1 to {OPTIONS_MAX} texts.")
        return ()
    return tuple(str(text) for text in texts)


def _asked(link: Link) -> dict[str, Any]:
    """Return a link as the fields that would create it."""
    terms = link.terms
    return {
        "title": terms.title,
        "slug": link.slug,
        "currency": terms.currency.code,
        "is_amount_fixed": terms.amount is not None,
        "amount": _amount(terms.amount),
        "min_amount": _amount(terms.least),
        "max_amount": _amount(terms.most),
        "description": terms.description,
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "gateway": terms.gateway,
        "require_address": terms.require_address,
        "fields": [_question_object(question) for question in terms.questions],
        "metadata": json.loads(terms.metadata),
        "max_uses": str(terms.max_uses) if terms.max_uses else None,
        "expires_at": iso_seconds(terms.expires_at) if terms.expires_at is not None else None,
    }


def _question_object(question: Question) -> dict[str, Any]:
    return {
        "key": question.key,
        "label": question.label,
        "type": question.kind.value,
        "options": list(question.options),
        "required": question.required,
    }


def _amount(money: Money | None) -> str | None:
    return render(money) if money is not None else None
