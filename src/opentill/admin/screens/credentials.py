"""PIX credentials: made and shown once, listed, changed, rotated, revoked (pix-api.md §3, §6)."""

from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.reading import expiry, networks
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.secret import Secret
from opentill.merchants import credentials, service
from opentill.merchants.credentials import ListedCredential
from opentill.merchants.model import DEFAULT_PERMISSIONS, PERMISSIONS

LABEL_MAX: Final = 80  # characters
OVERLAPS_S: Final = {"none": 0, "hour": 3_600, "day": 86_400, "week": 604_800}


async def index(visit: Visit) -> Response:
    """List the PIX credentials."""
    found = await visit.read(lambda tx: credentials.of(tx, owner=visit.owner))
    return visit.render("admin/developers/credentials.html", {"credentials": found})


async def offer(visit: Visit) -> Response:
    return visit.render("admin/developers/credential-new.html", _form_facts(visit))


async def create(visit: Visit) -> Response:
    """Make a PIX credential and show its secret, this once."""
    label, faults = visit.field("label"), list[Fault]()
    if not label or len(label) > LABEL_MAX:
        faults.append(Fault("label", "LABEL_REQUIRED", "Enter a label of at most 80 characters."))
    chosen, entries = _permissions(visit, faults), networks(visit, "allowed_ips", faults)
    expires_at = expiry(visit, faults)
    if faults:
        return visit.wrong("admin/developers/credential-new.html", Invalid(faults), _form_facts(visit))

    def made(tx: Tx, log: Journalist) -> tuple[str, Secret]:
        client_id, secret = service.create_credential(
            tx,
            owner=visit.owner,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
            name=label,
            permissions=chosen,
            allowed_ips=entries,
            expires_at=expires_at,
        )
        after = {"label": label, "permissions": chosen, "allowed_ips": entries, "expires_at": expires_at}
        log("pix_credential.created", f"credential:{client_id}", after=after)
        return client_id, secret

    return _shown_once(visit, *await visit.write(made))


async def show(visit: Visit) -> Response:
    """Show a credential: what it may do, from where, and what can be done with it."""
    return visit.render("admin/developers/credential.html", await _facts(visit))


async def set_access(visit: Visit) -> Response:
    """Say what a credential may do, and from where."""
    faults: list[Fault] = []
    chosen, entries = _permissions(visit, faults), networks(visit, "allowed_ips", faults)
    client_id = visit.path("credential")
    if faults:
        return visit.wrong("admin/developers/credential.html", Invalid(faults), await _facts(visit))

    def changed(tx: Tx, log: Journalist) -> None:
        was = credentials.set_access(tx, client_id, permissions=chosen, allowed_ips=entries, owner=visit.owner)
        log(
            "pix_credential.changed",
            f"credential:{client_id}",
            before={"permissions": was.permissions, "allowed_ips": was.allowed_ips},
            after={"permissions": chosen, "allowed_ips": entries},
        )

    await visit.write(changed)
    return visit.go(f"{visit.home}/developers/credentials/{client_id}", note="saved")


async def rotate(visit: Visit) -> Response:
    """Make a new secret and show it, this once; the one before works for the overlap."""
    client_id, overlap_s = visit.path("credential"), OVERLAPS_S.get(visit.field("overlap"), OVERLAPS_S["day"])

    def rotated(tx: Tx, log: Journalist) -> Secret:
        secret = credentials.rotate(
            tx,
            client_id,
            overlap_s=overlap_s,
            owner=visit.owner,
            ids=visit.deps.ids,
            keyring=visit.deps.keyring,
            now=visit.now,
        )
        log("pix_credential.rotated", f"credential:{client_id}", after={"overlap_s": overlap_s})
        return secret

    return _shown_once(visit, client_id, await visit.write(rotated))


async def revoke(visit: Visit) -> Response:
    """End a PIX credential for good."""
    client_id = visit.path("credential")

    def revoked(tx: Tx, log: Journalist) -> None:
        was = credentials.one(tx, client_id, owner=visit.owner)
        credentials.revoke(tx, client_id, owner=visit.owner)
        log(
            "pix_credential.revoked",
            f"credential:{client_id}",
            before={"status": was.status},
            after={"status": "revoked"},
        )

    await visit.write(revoked)
    return visit.go(f"{visit.home}/developers/credentials", note="removed")


def _permissions(visit: Visit, faults: list[Fault]) -> list[str]:
    chosen = [name for name in PERMISSIONS if name in visit.lists.get("permission", ())]
    if not chosen:
        faults.append(Fault("permission", "PERMISSIONS_NONE", "Choose at least one permission."))
    return chosen


def _shown_once(visit: Visit, client_id: str, secret: Secret) -> Response:
    facts = {"client_id": client_id, "secret": secret.reveal(), "address": visit.deps.settings.public_url}
    return visit.render("admin/developers/credential-made.html", facts)


def _form_facts(visit: Visit) -> dict[str, object]:
    chosen = visit.lists.get("permission", ()) if visit.form else DEFAULT_PERMISSIONS
    return {"permissions": PERMISSIONS, "chosen": chosen}


async def _facts(visit: Visit) -> dict[str, object]:
    client_id = visit.path("credential")
    found: ListedCredential = await visit.read(lambda tx: credentials.one(tx, client_id, owner=visit.owner))
    chosen = visit.lists.get("permission", ()) if visit.form else found.permissions
    return {"credential": found, "permissions": PERMISSIONS, "chosen": chosen}


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/developers/credentials", index, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/credentials/new", offer, "developers.manage", fresh=True),
    Screen("POST", "/m/{merchant}/developers/credentials/new", create, "developers.manage", fresh=True),
    Screen("GET", "/m/{merchant}/developers/credentials/{credential}", show, "developers.view"),
    Screen(
        "POST", "/m/{merchant}/developers/credentials/{credential}/access", set_access, "developers.manage", fresh=True
    ),
    Screen("POST", "/m/{merchant}/developers/credentials/{credential}/secret", rotate, "developers.manage", fresh=True),
    Screen("POST", "/m/{merchant}/developers/credentials/{credential}/revocation", revoke, "developers.manage"),
)
