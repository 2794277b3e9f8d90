"""An operator's own account: password, second factor, recovery codes, sessions, and proving oneself again."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from starlette.responses import Response

from opentill.admin.entrance import compared, hashed, place_after
from opentill.admin.panel import ANY, Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Conflict, Invalid
from opentill.kernel.secret import SealedError, Secret
from opentill.operators import factors, people, sign_in
from opentill.operators.sign_in import Locked
from opentill.pix import qr

SEED_CONTEXT: Final = "form.totp_seed"


async def show(visit: Visit) -> Response:
    """Show who one is, the second factor, and every open session."""
    operator_id = visit.who.operator.id
    facts = await visit.read(
        lambda tx: {
            "sessions": people.sessions(tx, operator_id, now=visit.now),
            "codes_left": factors.recovery_codes_left(tx, operator_id),
            "roles": people.roles_of(tx, operator_id),
        }
    )
    return visit.render("admin/account/show.html", facts)


async def ask_again(visit: Visit) -> Response:
    """Ask for password and code before something sensitive."""
    return visit.render("admin/account/confirm.html", {"next": place_after(visit.request), "fault": ""})


async def confirm(visit: Visit) -> Response:
    """Look at password and code, and go on to where the operator was going."""
    deps, operator_id = visit.deps, visit.who.operator.id
    stored = await visit.read(lambda tx: people.password_hash(tx, operator_id))
    matched = await compared(stored, Secret(visit.form.get("password", "")))
    refused = await deps.db.write(
        lambda tx: sign_in.confirm(
            tx,
            visit.who,
            visit.field("code"),
            visit.caller,
            matched=matched,
            keyring=deps.keyring,
            now=visit.now,
        )
    )
    place = place_after(visit.request)
    if refused is None:
        return visit.go(place)
    fault = "locked" if isinstance(refused, Locked) else "wrong"
    return visit.render("admin/account/confirm.html", {"next": place, "fault": fault}, status=422)


async def change_password(visit: Visit) -> Response:
    """Change the password; every other session ends."""
    who, password = visit.who, Secret(visit.form.get("password", ""))
    try:
        people.check_password(who.operator, password, Secret(visit.form.get("repeated", "")))
    except Invalid as wrong:
        return visit.wrong("admin/account/password.html", wrong)
    password_hash = await hashed(password)

    def changed(tx: Tx, log: Journalist) -> None:
        people.change_password(tx, who.operator.id, password_hash, session_id=who.session_id, now=visit.now)
        log("operator.password_changed", who.operator.actor)

    await visit.write(changed)
    return visit.go("/admin/account", note="password")


async def ask_password(visit: Visit) -> Response:
    return visit.render("admin/account/password.html")


async def offer_factor(visit: Visit) -> Response:
    """Show a fresh seed as a QR code; it is kept only in the form, sealed, until a code proves that it arrived."""
    return _offer(visit, factors.new_seed(visit.deps.ids))


async def turn_on(visit: Visit) -> Response:
    """Turn the second factor on and show the recovery codes, this once."""
    deps, operator = visit.deps, visit.who.operator
    try:
        seed = deps.keyring.open_secret(visit.field("sealed"), f"{SEED_CONTEXT}/{operator.id}")
    except SealedError:
        return visit.go("/admin/account/factor")

    def turned(tx: Tx, log: Journalist) -> Sequence[str]:
        log("operator.factor_on", operator.actor)
        return factors.turn_on(
            tx, operator, seed, visit.field("code"), ids=deps.ids, keyring=deps.keyring, now=visit.now
        )

    try:
        codes = await visit.write(turned)
    except Invalid as wrong:
        return _offer(visit, seed, wrong)
    except Conflict as refusal:
        return visit.refused(refusal, "/admin/account")
    return visit.render("admin/account/codes.html", {"codes": codes})


async def turn_off(visit: Visit) -> Response:
    """Turn the second factor off."""
    operator = visit.who.operator

    def turned(tx: Tx, log: Journalist) -> None:
        factors.turn_off(tx, operator.id, now=visit.now)
        log("operator.factor_off", operator.actor)

    await visit.write(turned)
    return visit.go("/admin/account", note="factor-off")


async def new_codes(visit: Visit) -> Response:
    """Replace the recovery codes and show the new ones, this once."""
    deps, operator = visit.deps, visit.who.operator

    def replaced(tx: Tx, log: Journalist) -> Sequence[str]:
        log("operator.recovery_codes_replaced", operator.actor)
        return factors.new_recovery_codes(tx, operator, ids=deps.ids, keyring=deps.keyring, now=visit.now)

    codes = await visit.write(replaced)
    return visit.render("admin/account/codes.html", {"codes": codes})


async def end_session(visit: Visit) -> Response:
    """End one of one's own sessions."""
    public_id, operator = visit.path("session"), visit.who.operator

    def ended(tx: Tx, log: Journalist) -> None:
        people.end_session(tx, operator.id, public_id, now=visit.now)
        log("session.ended", f"session:{public_id}")

    await visit.write(ended)
    return visit.go("/admin/account", note="ended")


def _offer(visit: Visit, seed: Secret, wrong: Invalid | None = None) -> Response:
    operator = visit.who.operator
    address = factors.address(seed, operator)
    facts = {
        "qr": Markup(qr.svg(address)),  # noqa: S704 - drawn by us
        "seed": seed.reveal(),
        "sealed": visit.deps.keyring.seal(seed, f"{SEED_CONTEXT}/{operator.id}"),
    }
    if wrong is not None:
        return visit.wrong("admin/account/factor.html", wrong, facts)
    return visit.render("admin/account/factor.html", facts)


SCREENS: Final = (
    Screen("GET", "/account", show, ANY),
    Screen("GET", "/account/confirm", ask_again, ANY),
    Screen("POST", "/account/confirm", confirm, ANY),
    Screen("GET", "/account/password", ask_password, ANY, fresh=True),
    Screen("POST", "/account/password", change_password, ANY, fresh=True),
    Screen("GET", "/account/factor", offer_factor, ANY, fresh=True),
    Screen("POST", "/account/factor", turn_on, ANY, fresh=True),
    Screen("POST", "/account/factor/off", turn_off, ANY, fresh=True),
    Screen("POST", "/account/factor/codes", new_codes, ANY, fresh=True),
    Screen("POST", "/account/sessions/{session}/end", end_session, ANY),
)
