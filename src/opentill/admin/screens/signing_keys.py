"""The key pairs that sign a merchant's webhooks, in the hub: shown, followed by a new one, or ended at once."""

from typing import Any, Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.mode import Mode
from opentill.merchants import service as merchants
from opentill.webhooks import service
from opentill.webhooks.model import By
from opentill.webhooks.queries import published_keys
from opentill.webhooks.signing_keys import jwks_path


async def show(visit: Visit) -> Response:
    """Show which keys sign, and where receivers fetch them."""
    return visit.render("admin/developers/signing-keys.html", await visit.read(lambda tx: _facts(tx, visit)))


async def rotate(visit: Visit) -> Response:
    """Publish a new key, which signs from tomorrow on, for a day beside the old one; or end the old ones now."""

    def rotated(tx: Tx, _log: Journalist) -> None:
        service.rotate_signing_key(
            tx,
            owner=visit.owner,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
            revoke_now=visit.field("revoke") == "1",
            by=By(visit.who.operator.actor, visit.caller.origin),
        )

    await visit.write(rotated)
    return visit.go(f"{visit.home}/developers/signing-keys", note="made")


def _facts(tx: ReadTx, visit: Visit) -> dict[str, Any]:
    owner = visit.owner
    merchant = merchants.merchant_of(tx, owner)
    address = visit.deps.settings.public_url + jwks_path(merchant.uuid)
    return {
        "keys": published_keys(tx, merchant.uuid, owner.mode, now=visit.now),
        "address": address + ("?mode=sandbox" if owner.mode is Mode.SANDBOX else ""),
    }


_AT: Final = "/m/{merchant}/developers/signing-keys"

SCREENS: Final = (
    Screen("GET", _AT, show, "developers.view"),
    Screen("POST", _AT, rotate, "developers.manage", fresh=True),
)
