"""Operators and roles: inviting, roles, disabling, a link for a new password, and the audit log of it all."""

from collections.abc import Callable
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Conflict, Forbidden, Invalid
from opentill.kernel.secret import Secret
from opentill.operators import factors, people, queries, resets
from opentill.operators.model import Operator
from opentill.operators.permissions import AREAS, ROLES, SINGLE

PAGE: Final = 100


async def index(visit: Visit) -> Response:
    """List the operators with their roles, and the roles there are."""
    facts = await visit.read(lambda tx: {"everybody": people.everybody(tx), "own": people.own_roles(tx)})
    return visit.render("admin/operators/index.html", facts | {"roles": ROLES, "brand_names": _names(visit)})


async def offer(visit: Visit) -> Response:
    return visit.render("admin/operators/new.html", await _choices(visit))


async def invite(visit: Visit) -> Response:
    """Add an operator and show the link by which they choose a password, this once."""
    deps = visit.deps

    def invited(tx: Tx, log: Journalist) -> tuple[Operator, Secret]:
        merchant_id = number(visit.field("merchant")) or None
        _require_within(visit, people.allowed_by(tx, visit.field("role")))
        operator, token = people.invite(
            tx,
            email=visit.field("email"),
            name=visit.field("name"),
            role=visit.field("role"),
            merchant_id=merchant_id,
            ids=deps.ids,
            keyring=deps.keyring,
            now=visit.now,
        )
        after = {"email": operator.email, "role": visit.field("role"), "merchant_id": merchant_id}
        log("operator.invited", operator.actor, after=after)
        return operator, token

    try:
        operator, token = await visit.write(invited)
    except Invalid as wrong:
        return visit.wrong("admin/operators/new.html", wrong, await _choices(visit))
    return _link(visit, operator, token)


async def show(visit: Visit) -> Response:
    """Show an operator, their roles and sessions, and what may be done about them."""
    operator_id = number(visit.path("operator"))
    facts = await visit.read(
        lambda tx: {
            "operator": people.found(tx, operator_id),
            "grants": people.roles_of(tx, operator_id),
            "sessions": people.sessions(tx, operator_id, now=visit.now),
            "entries": queries.entries(tx, limit=20, actor=f"operator:{operator_id}"),
        }
    )
    return visit.render("admin/operators/show.html", facts | await _choices(visit) | {"brand_names": _names(visit)})


async def new_link(visit: Visit) -> Response:
    """Make a link for a new password; the second factor stays."""
    operator_id, deps = number(visit.path("operator")), visit.deps

    def made(tx: Tx, log: Journalist) -> tuple[Operator, Secret]:
        operator = _subordinate(visit, tx, operator_id)
        log("operator.link_made", operator.actor)
        return operator, people.new_link(tx, operator.id, ids=deps.ids, keyring=deps.keyring, now=visit.now)

    return _link(visit, *await visit.write(made))


async def set_role(visit: Visit) -> Response:
    """Give a role at a merchant or at all, or take it away."""
    operator_id, role = number(visit.path("operator")), visit.field("role")
    merchant_id = number(visit.field("merchant")) or None
    place = f"/admin/operators/{operator_id}"

    def changed(tx: Tx, log: Journalist) -> None:
        operator = _subordinate(visit, tx, operator_id)
        _require_within(visit, people.allowed_by(tx, role))
        before = {grant.merchant_id or 0: grant.role for grant in people.roles_of(tx, operator_id)}
        if role:
            people.set_role(tx, operator_id, role, merchant_id=merchant_id, now=visit.now)
        else:
            people.take_role(tx, operator_id, merchant_id=merchant_id)
        log(
            "operator.role_changed",
            operator.actor,
            merchant_id=merchant_id,
            before=before.get(merchant_id or 0),
            after=role or None,
        )

    return await _done(visit, changed, place)


async def set_state(visit: Visit) -> Response:
    """Disable or enable an operator, end their sessions, or take a lost second factor away."""
    operator_id, action = number(visit.path("operator")), visit.path("action")

    def changed(tx: Tx, log: Journalist) -> None:
        operator = _subordinate(visit, tx, operator_id)
        if action == "disable":
            people.disable(tx, operator_id, now=visit.now)
        elif action == "enable":
            people.enable(tx, operator_id)
        elif action == "end-sessions":
            people.end_sessions(tx, operator_id, but=visit.who.session_id, now=visit.now)
        elif action == "reset-factor":
            factors.turn_off(tx, operator_id, now=visit.now)
            people.end_sessions(tx, operator_id, but=visit.who.session_id, now=visit.now)
            by, deps = visit.who.operator.name, visit.deps
            resets.tell_factor_reset(tx, operator_id, by=by, ids=deps.ids, keyring=deps.keyring, now=visit.now)
        else:
            raise Conflict("NO_SUCH_ACTION", "There is no such action.")
        log(f"operator.{action}", operator.actor, before={"status": operator.status})

    return await _done(visit, changed, f"/admin/operators/{operator_id}")


async def offer_role(visit: Visit) -> Response:
    slug = visit.query("role")
    own = {one: (name, allowed) for one, name, allowed in await visit.read(people.own_roles)}
    name, allowed = own.get(slug, ("", ROLES.get(slug, frozenset())))
    return visit.render("admin/operators/role.html", _role_facts(slug if slug in own else "", name, allowed))


async def save_role(visit: Visit) -> Response:
    """Make a role, or change one made here."""
    slug, chosen = visit.field("slug"), list(visit.lists.get("permission", ()))

    def saved(tx: Tx, log: Journalist) -> None:
        own = {one: sorted(allowed) for one, _, allowed in people.own_roles(tx)}
        _require_within(visit, frozenset(chosen) | frozenset(own.get(slug, ())))
        made = people.save_role(tx, visit.field("name"), chosen, slug=slug if slug in own else None, now=visit.now)
        log("role.saved", f"role:{made}", before=own.get(made), after=sorted(chosen))

    try:
        await visit.write(saved)
    except Invalid as wrong:
        return visit.wrong("admin/operators/role.html", wrong, _role_facts(slug, "", frozenset(chosen)))
    return visit.go("/admin/operators", note="saved")


async def audit_log(visit: Visit) -> Response:
    """Show who changed what, newest first."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: queries.entries(
            tx,
            limit=PAGE + 1,
            before=before or None,
            **_audit_filters(visit),
        )
    )
    facts = {"entries": found[:PAGE], "more": len(found) > PAGE, "shown": "/admin/audit"}
    return visit.render("admin/operators/audit.html", facts)


async def merchant_audit_log(visit: Visit) -> Response:
    """Show who changed what of one merchant."""
    before = number(visit.query("before"))
    found = await visit.read(
        lambda tx: queries.entries(
            tx,
            limit=PAGE + 1,
            before=before or None,
            merchant_id=visit.owner.merchant_id,
            **_audit_filters(visit),
        )
    )
    facts = {"entries": found[:PAGE], "more": len(found) > PAGE, "shown": f"{visit.home}/audit"}
    return visit.render("admin/operators/audit.html", facts)


def _audit_filters(visit: Visit) -> dict[str, Any]:
    """Return what the query narrows the log to: exact names, as the log writes them."""
    return {name: visit.query(name) for name in ("action", "actor", "subject") if visit.query(name)}


async def sign_ins(visit: Visit) -> Response:
    """Show who came to the door, and how it went."""
    before = number(visit.query("before"))
    found = await visit.read(lambda tx: queries.attempts(tx, limit=PAGE + 1, before=before or None))
    return visit.render("admin/operators/sign-ins.html", {"attempts": found[:PAGE], "more": len(found) > PAGE})


def _subordinate(visit: Visit, tx: ReadTx, operator_id: int) -> Operator:
    """Return an operator who may do nothing that the one at work may not. Raises Forbidden."""
    operator = people.found(tx, operator_id)
    for grant in people.roles_of(tx, operator_id):
        _require_within(visit, grant.permissions)
    return operator


def _require_within(visit: Visit, permissions: frozenset[str]) -> None:
    """Nobody gives away, or rules over, more than they have themselves. Raises Forbidden."""
    if not all(visit.who.may(permission) for permission in permissions):
        raise Forbidden("BEYOND_YOUR_ROLE", "This goes beyond your own role.")


async def _done(visit: Visit, work: Callable[[Tx, Journalist], None], place: str) -> Response:
    await visit.write(work)
    return visit.go(place, note="saved")


def _link(visit: Visit, operator: Operator, token: Secret) -> Response:
    address = f"{visit.deps.settings.public_url}/admin/password/{token.reveal()}"
    return visit.render("admin/operators/link.html", {"operator": operator, "address": address})


async def _choices(visit: Visit) -> dict[str, object]:
    return {"role_names": await visit.read(people.role_names)}


def _names(visit: Visit) -> dict[int, str]:
    return {brand.id: brand.name for brand in visit.brands}


def _role_facts(slug: str, name: str, allowed: frozenset[str]) -> dict[str, object]:
    return {"slug": slug, "name": name, "allowed": allowed, "areas": AREAS, "single": SINGLE}


SCREENS: Final = (
    Screen("GET", "/operators", index, "operators.view"),
    Screen("GET", "/operators/new", offer, "operators.manage", fresh=True),
    Screen("POST", "/operators/new", invite, "operators.manage", fresh=True),
    Screen("GET", "/operators/role", offer_role, "operators.manage", fresh=True),
    Screen("POST", "/operators/role", save_role, "operators.manage", fresh=True),
    Screen("GET", "/operators/{operator}", show, "operators.view"),
    Screen("POST", "/operators/{operator}/link", new_link, "operators.manage", fresh=True),
    Screen("POST", "/operators/{operator}/roles", set_role, "operators.manage", fresh=True),
    Screen("POST", "/operators/{operator}/{action}", set_state, "operators.manage", fresh=True),
    Screen("GET", "/audit", audit_log, "audit.view"),
    Screen("GET", "/audit/sign-ins", sign_ins, "audit.view"),
    Screen("GET", "/m/{merchant}/audit", merchant_audit_log, "audit.view"),
)
