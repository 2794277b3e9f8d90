"""What a merchant may choose about its payments, and the switches of the whole installation."""

import re
from dataclasses import asdict
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid
from opentill.merchants import options
from opentill.merchants.options import MARKUP_MAX, MINUTES_MAX
from opentill.operators import install

FLAGS: Final = ("fail_on_decline", "refund_fees", "refund_balance_check", "lenient_intents")
CHOICES: Final = ("late_payments", "redirect_fallback", "dialect")
WHOLE: Final = {"duplicate_guard_minutes": MINUTES_MAX, "fx_markup_basis_points": MARKUP_MAX}
ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?", re.ASCII)
ORIGINS_MAX: Final = 50


async def show(visit: Visit) -> Response:
    """Show the merchant's options."""
    found = await visit.read(lambda tx: options.of_merchant(tx, visit.owner))
    return visit.render("admin/settings/options.html", {"options": found})


async def change(visit: Visit) -> Response:
    """Save the merchant's options; they hold for what comes."""
    faults = [
        Fault(name, "NUMBER_INVALID", "Enter a whole number within the limits beside it, or nothing.")
        for name, most in WHOLE.items()
        if visit.field(name) not in ("", "0") and not 1 <= number(visit.field(name)) <= most
    ]
    wanted: dict[str, Any] = {name: bool(visit.field(name)) for name in FLAGS}
    wanted |= {name: visit.field(name) for name in CHOICES if visit.field(name)}
    wanted |= {name: number(visit.field(name)) for name in WHOLE}

    def changed(tx: Tx, log: Journalist) -> None:
        before = options.of_merchant(tx, visit.owner)
        after = options.change(tx, wanted, owner=visit.owner)
        log("merchant.options", f"merchant:{visit.path('merchant')}", before=asdict(before), after=asdict(after))

    if faults:
        found = await visit.read(lambda tx: options.of_merchant(tx, visit.owner))
        return visit.wrong("admin/settings/options.html", Invalid(faults), {"options": found})
    await visit.write(changed)
    return visit.go(f"{visit.home}/options", note="saved")


async def show_install(visit: Visit) -> Response:
    """Show the switches of the installation."""
    return visit.render("admin/settings/install.html", {"install": await visit.read(install.read)})


async def change_install(visit: Visit) -> Response:
    """Set the switches; every process heeds them within a second."""
    origins = tuple(dict.fromkeys(visit.form.get("cors_origins", "").lower().split()))
    if len(origins) > ORIGINS_MAX or not all(map(ORIGIN.fullmatch, origins)):
        fault = Fault("cors_origins", "ORIGINS_INVALID", "Enter origins such as https://shop.example, one a line.")
        facts = {"install": await visit.read(install.read)}
        return visit.wrong("admin/settings/install.html", Invalid([fault]), facts)

    def changed(tx: Tx, log: Journalist) -> None:
        before, after = install.change(
            tx,
            now=visit.now,
            maintenance=bool(visit.field("maintenance")),
            require_super_admin_email=bool(visit.field("require_super_admin_email")),
            cors_origins=origins,
        )
        log("install.changed", "install", before=asdict(before), after=asdict(after))

    await visit.write(changed)
    return visit.go("/admin/settings", note="saved")


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/options", show, "merchants.view"),
    Screen("POST", "/m/{merchant}/options", change, "merchants.manage"),
    Screen("GET", "/settings", show_install, "settings.view"),
    Screen("POST", "/settings", change_install, "settings.manage", fresh=True),
)
