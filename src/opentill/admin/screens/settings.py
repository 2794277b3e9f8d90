"""How a merchant sells: its gateways and their order, and what payments cost."""

import re
from dataclasses import asdict
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.reading import amount, networks
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Row, Tx
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.money import MalformedAmountError, Money, UnknownCurrencyError, currency, parse
from opentill.merchants import fees, prices
from opentill.merchants.gateways import ONLY, Terms, manual, save_manual, set_terms, terms
from opentill.merchants.model import FeeRule

PERCENT: Final = re.compile(r"([0-9]{1,3})(?:[.,]([0-9]{1,2}))?")
WHOLE: Final = 10_000  # basis points
NOTED: Final = ("gateway", "currency", "fixed_units", "basis_points", "min_units", "max_units")  # of a fee rule
NAME_MAX: Final = 80  # characters
TEXT_MAX: Final = 2_000
TERMS: Final = "admin/settings/gateway.html"
PROOFS: Final = ("optional", "off", "required")


async def gateways(visit: Visit) -> Response:
    """List the gateways payers can choose, in their order."""
    return visit.render("admin/settings/gateways.html", {"gateways": await visit.read(lambda tx: _gateways(tx, visit))})


async def switch(visit: Visit) -> Response:
    """Switch a gateway on or off, or move it up."""
    slug, action = visit.path("gateway"), visit.path("action")

    def switched(tx: Tx, log: Journalist) -> None:
        found = {row["slug"]: row for row in _gateways(tx, visit)}
        if slug not in found or action not in ("on", "off", "up"):
            raise NotFound("GATEWAY_NOT_FOUND", "No such gateway.")
        place = {"merchant_id": visit.owner.merchant_id, "mode": int(visit.owner.mode), "slug": slug}
        if action == "up":
            order = list(found)
            at = order.index(slug)
            order.insert(max(0, at - 1), order.pop(at))
            for position, name in enumerate(order):
                tx.run(
                    """
                    update merchant_gateway set position = :position
                     where merchant_id = :merchant_id and mode = :mode and slug = :slug
                    """,
                    position=position,
                    **place | {"slug": name},
                )
        else:
            tx.run(
                """
                update merchant_gateway set active = :active
                 where merchant_id = :merchant_id and mode = :mode and slug = :slug
                """,
                active=int(action == "on"),
                **place,
            )
        log(f"gateway.{action}", f"gateway:{slug}", before={"active": bool(found[slug]["active"])})

    await visit.write(switched)
    return visit.go(f"{visit.home}/gateways", note="saved")


async def offer_manual(visit: Visit) -> Response:
    """Show the form of a manual gateway, a new one or the one the query names."""
    slug = visit.query("slug")
    found = await visit.read(lambda tx: manual(tx, slug, owner=visit.owner)) if slug else None
    return visit.render("admin/settings/manual.html", {"gateway": found})


async def set_manual(visit: Visit) -> Response:
    """Make or change a manual gateway: an account payers pay to, and a person who sees whether the money came."""
    name, slug = visit.field("name"), visit.field("slug").lower()
    faults = []
    code = visit.field("currency").upper() or None
    try:
        currency(code or "BRL")
    except UnknownCurrencyError:
        faults.append(Fault("currency", "CURRENCY_UNKNOWN", "Enter a currency such as BRL, or nothing for all."))
    if not name or len(name) > NAME_MAX:
        faults.append(Fault("name", "NAME_REQUIRED", "Enter a name of at most 80 characters."))
    settings = {field: visit.field(field)[:TEXT_MAX] for field in ("account_holder", "account_number", "steps")}
    proof = visit.field("proof_upload") if visit.field("proof_upload") in PROOFS else PROOFS[0]
    chosen = {**settings, "proof_upload": proof, "require_provider_trx": bool(visit.field("require_provider_trx"))}

    def saved(tx: Tx, log: Journalist) -> None:
        before = manual(tx, slug, owner=visit.owner)
        kept = dict(before.settings) if before else {}
        save_manual(
            tx, slug, name=name, settings=kept | chosen, owner=visit.owner, currency=code, position=9, now=visit.now
        )
        log("gateway.manual_saved", f"gateway:{slug}", before=kept or None, after=kept | chosen)

    if faults:
        return visit.wrong("admin/settings/manual.html", Invalid(faults), {"gateway": None})
    try:
        await visit.write(saved)
    except Conflict:
        taken = Invalid([Fault("slug", "SLUG_TAKEN", "Choose another short name: small letters, digits and dashes.")])
        return visit.wrong("admin/settings/manual.html", taken, {"gateway": None})
    return visit.go(f"{visit.home}/gateways", note="saved")


async def show_terms(visit: Visit) -> Response:
    """Show what the merchant decides about a gateway, and where its provider calls."""
    return visit.render(TERMS, await _terms_facts(visit))


async def change_terms(visit: Visit) -> Response:
    """Save a gateway's name, currency, limits, and from where its callbacks are taken."""
    slug, facts = visit.path("gateway"), await _terms_facts(visit)
    before: Terms = facts["terms"]
    try:
        wanted = _read_terms(visit, slug)
    except Invalid as wrong:
        return visit.wrong(TERMS, wrong, facts)

    def changed(tx: Tx, log: Journalist) -> None:
        set_terms(tx, slug, wanted, owner=visit.owner)
        log("gateway.terms", f"gateway:{slug}", before=asdict(before), after=asdict(wanted))

    await visit.write(changed)
    return visit.go(f"{visit.home}/gateways", note="saved")


async def _terms_facts(visit: Visit) -> dict[str, Any]:
    slug = visit.path("gateway")
    found = await visit.read(lambda tx: terms(tx, slug, owner=visit.owner))
    if found is None:
        raise NotFound("GATEWAY_NOT_FOUND", "No such gateway.")
    calls = "callback" in getattr(visit.deps.gateways.get(slug), "capabilities", ())
    address = f"{visit.deps.settings.public_url}/webhook/{slug}/{visit.path('merchant')}" if calls else ""
    return {"slug": slug, "terms": found, "only": ONLY.get(slug), "address": address}


def _read_terms(visit: Visit, slug: str) -> Terms:
    """Return the terms of the form. Raises Invalid with every fault."""
    faults: list[Fault] = []
    name, code = visit.field("name"), ONLY.get(slug) or visit.field("currency").upper() or None
    of = None
    if not name or len(name) > NAME_MAX:
        faults.append(Fault("name", "NAME_REQUIRED", "Enter a name of at most 80 characters."))
    try:
        of = currency(code) if code else None
    except UnknownCurrencyError:
        faults.append(Fault("currency", "CURRENCY_UNKNOWN", "Enter a currency such as BRL, or nothing for all."))
    faults += [
        Fault(limit, "NEEDS_CURRENCY", "An amount needs a currency.")
        for limit in ("least", "most")
        if visit.field(limit) and code is None
    ]
    least, most = (amount(visit, limit, of, faults) for limit in ("least", "most"))
    if least is not None and most is not None and least > most:
        faults.append(Fault("most", "LIMITS_CROSSED", "The largest amount is below the smallest."))
    sources = networks(visit, "callback_networks", faults)
    if faults:
        raise Invalid(faults)
    return Terms(name, code, least.units if least else None, most.units if most else None, sources)


async def rules(visit: Visit) -> Response:
    """List the fee rules, and reckon an example."""
    return visit.render("admin/settings/fees.html", await _fee_facts(visit))


async def set_rule(visit: Visit) -> Response:
    """Let a rule hold from now on."""
    try:
        rule, gateway, code = _read_rule(visit)
    except Invalid as wrong:
        return visit.wrong("admin/settings/fees.html", wrong, await _fee_facts(visit))

    def made(tx: Tx, log: Journalist) -> None:
        before = _rules(tx, visit)
        rule_id = prices.set_rule(
            tx, rule, merchant_id=visit.owner.merchant_id, gateway=gateway, currency=code, now=visit.now
        )
        after = _rules(tx, visit)[rule_id]
        replaced = [one for one in before.values() if one["gateway"] == gateway and one["currency"] == code]
        log("fee_rule.set", f"fee_rule:{rule_id}", before=replaced[0] if replaced else None, after=after)

    await visit.write(made)
    return visit.go(f"{visit.home}/fees", note="saved")


async def end_rule(visit: Visit) -> Response:
    """Let a rule hold no more; what it priced keeps its price."""
    rule_id = number(visit.path("rule"))

    def ended(tx: Tx, log: Journalist) -> None:
        before = _rules(tx, visit).get(rule_id)
        prices.end_rule(tx, rule_id, merchant_id=visit.owner.merchant_id)
        log("fee_rule.ended", f"fee_rule:{rule_id}", before=before)

    await visit.write(ended)
    return visit.go(f"{visit.home}/fees", note="removed")


def _rules(tx: ReadTx, visit: Visit) -> dict[int, dict[str, object]]:
    """Return the merchant's own active rules by id, as the audit log notes them."""
    rows = prices.of(tx, merchant_id=visit.owner.merchant_id)
    return {row["id"]: {name: row[name] for name in NOTED} for row in rows if row["merchant_id"] is not None}


def _gateways(tx: ReadTx, visit: Visit) -> list[Row]:
    return list(
        tx.all(
            """
            select slug, name, kind, position, active, created_at from merchant_gateway
             where merchant_id = :merchant_id and mode = :mode order by position, id limit 100
            """,
            merchant_id=visit.owner.merchant_id,
            mode=int(visit.owner.mode),
        )
    )


async def _fee_facts(visit: Visit) -> dict[str, object]:
    merchant_id = visit.owner.merchant_id
    found, gateways = await visit.read(
        lambda tx: (prices.of(tx, merchant_id=merchant_id), [row["slug"] for row in _gateways(tx, visit)])
    )
    asked, gateway = visit.query("amount"), visit.query("for") or (gateways[0] if gateways else "")
    example: tuple[Money, Money] | None = None
    try:
        amount = parse(asked or "100.00", currency("BRL"))
        example = (amount, await visit.read(lambda tx: fees.fee_of(tx, amount, gateway=gateway, owner=visit.owner)))
    except MalformedAmountError:
        pass
    choices = [(slug, slug) for slug in gateways]
    if fees.PIX in gateways:
        choices.append((fees.PAYOUTS, fees.PAYOUTS))
    return {
        "rules": found,
        "gateways": gateways,
        "gateway_choices": choices,
        "example": example,
        "example_gateway": gateway,
    }


def _read_rule(visit: Visit) -> tuple[FeeRule, str | None, str | None]:
    """Return the rule of the form, its gateway and its currency. Raises Invalid with every fault."""
    faults = []
    code = visit.field("currency").upper() or None
    try:
        of = currency(code) if code else None
    except UnknownCurrencyError:
        of = None
        faults.append(Fault("currency", "CURRENCY_UNKNOWN", "Enter a currency such as BRL, or nothing for all."))
    percent = PERCENT.fullmatch(visit.field("percent") or "0")
    points = int(percent[1]) * 100 + int((percent[2] or "").ljust(2, "0")) if percent else WHOLE + 1
    if points > WHOLE:
        faults.append(Fault("percent", "PERCENT_INVALID", "Enter a percentage from 0 to 100, for example 1.99."))
    amounts: dict[str, int | None] = {}
    for name in ("fixed", "least", "most"):
        text = visit.field(name).replace(",", ".")
        amounts[name] = None
        if text and of is None:
            faults.append(Fault(name, "NEEDS_CURRENCY", "An amount needs a currency."))
        elif text and of is not None:
            try:
                amounts[name] = parse(text, of).units
            except MalformedAmountError:
                faults.append(Fault(name, "AMOUNT_INVALID", "Enter a plain amount, for example 0.50."))
    if faults:
        raise Invalid(faults)
    rule = FeeRule(amounts["fixed"] or 0, points, amounts["least"], amounts["most"])
    return rule, visit.field("gateway") or None, code


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/gateways", gateways, "gateways.view"),
    Screen("GET", "/m/{merchant}/gateways/manual", offer_manual, "gateways.manage", fresh=True),
    Screen("POST", "/m/{merchant}/gateways/manual", set_manual, "gateways.manage", fresh=True),
    Screen("GET", "/m/{merchant}/gateways/{gateway}/terms", show_terms, "gateways.manage", fresh=True),
    Screen("POST", "/m/{merchant}/gateways/{gateway}/terms", change_terms, "gateways.manage", fresh=True),
    Screen("POST", "/m/{merchant}/gateways/{gateway}/{action}", switch, "gateways.manage", fresh=True),
    Screen("GET", "/m/{merchant}/fees", rules, "fees.view"),
    Screen("POST", "/m/{merchant}/fees", set_rule, "fees.manage"),
    Screen("POST", "/m/{merchant}/fees/{rule}/end", end_rule, "fees.manage"),
)
