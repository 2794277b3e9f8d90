"""API keys: made and shown once, listed, rotated, narrowed, locked, revoked (merchant-api.md §16.2)."""

from typing import Final, cast, get_args

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.reading import expiry, networks
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.merchants import api_keys, queries, request_log
from opentill.merchants.api_keys import KeyDraft, NewKey
from opentill.merchants.model import KEY_RATE_MAX, SCOPES, ApiKey, Dialect, KeyLine
from opentill.operators import sign_in

LABEL_MAX: Final = 80  # characters
DIALECTS: Final = get_args(Dialect)
OVERLAPS_S: Final = {"none": 0, "hour": 3_600, "day": api_keys.OVERLAP_S, "week": 604_800, "month": 30 * 86_400}


async def index(visit: Visit) -> Response:
    """List the keys, newest first; revoked ones last."""
    found = await visit.read(lambda tx: queries.api_keys(tx, owner=visit.owner, now=visit.now, ended=True))
    return visit.render("admin/developers/keys.html", {"keys": sorted(found, key=lambda key: key.status == "revoked")})


async def offer(visit: Visit) -> Response:
    """Ask what the key is for; read and write are ticked."""
    return visit.render("admin/developers/key-new.html", _form_facts(visit))


async def create(visit: Visit) -> Response:
    """Make a key and show it, this once, with a request that uses it."""
    try:
        draft = _draft(visit)
    except Invalid as wrong:
        return visit.wrong("admin/developers/key-new.html", wrong, _form_facts(visit))
    if "admin" in draft.scopes and not sign_in.is_fresh(visit.who, visit.now):
        return visit.go(f"/admin/account/confirm?next={visit.home}/developers/keys/new")

    def made(tx: Tx, log: Journalist) -> NewKey:
        key = api_keys.create(tx, draft, owner=visit.owner, ids=visit.deps.ids, now=visit.now)
        after_ = {
            "label": draft.name,
            "scopes": draft.scopes,
            "expires_at": draft.expires_at,
            "rate_limit": draft.rate_limit,
            "allowed_ips": draft.allowed_ips,
            "dialect": draft.dialect,
        }
        log("api_key.created", f"key:{key.prefix}", after=after_)
        return key

    return _shown_once(visit, await visit.write(made))


async def show(visit: Visit) -> Response:
    """Show a key: what it may do, who used it last, and what can be done with it."""
    return visit.render("admin/developers/key.html", await _facts(visit))


async def rotate(visit: Visit) -> Response:
    """Make a key that takes over and show it, this once; the old one goes on working for the overlap."""
    key_id, overlap_s = number(visit.path("key")), OVERLAPS_S.get(visit.field("overlap"), api_keys.OVERLAP_S)

    def rotated(tx: Tx, log: Journalist) -> NewKey:
        old, new = api_keys.rotate(
            tx, key_id, owner=visit.owner, ids=visit.deps.ids, now=visit.now, overlap_s=overlap_s
        )
        log("api_key.rotated", f"key:{old.prefix}", after={"replaced_by": new.prefix, "overlap_s": overlap_s})
        return new

    new = await visit.write(rotated)
    return _shown_once(visit, new)


async def narrow(visit: Visit) -> Response:
    """Take scopes away; they never come back."""
    key_id = number(visit.path("key"))
    scopes = [scope for scope in SCOPES if scope in visit.lists.get("scope", ())]

    def narrowed(tx: Tx, log: Journalist) -> None:
        key = api_keys.narrow(tx, key_id, scopes, owner=visit.owner, now=visit.now)
        before = [scope for scope in SCOPES if scope in key.scopes]
        log("api_key.narrowed", f"key:{key.prefix}", before={"scopes": before}, after={"scopes": scopes})

    await visit.write(narrowed)
    return visit.go(_place(visit), note="saved")


async def set_limits(visit: Visit) -> Response:
    """Give a key another limit per minute, and say from where it may be used."""
    key_id = number(visit.path("key"))
    faults: list[Fault] = []
    rate_limit, allowed_ips = _rate_limit(visit, faults), networks(visit, "allowed_ips", faults)
    if faults:
        return visit.wrong("admin/developers/key.html", Invalid(faults), await _facts(visit))

    def limited(tx: Tx, log: Journalist) -> None:
        key = api_keys.limit(
            tx, key_id, rate_limit=rate_limit, allowed_ips=allowed_ips, owner=visit.owner, now=visit.now
        )
        log(
            "api_key.limited",
            f"key:{key.prefix}",
            before={"rate_limit": key.rate_limit, "allowed_ips": key.allowed_ips},
            after={"rate_limit": rate_limit, "allowed_ips": allowed_ips},
        )

    await visit.write(limited)
    return visit.go(_place(visit), note="saved")


async def lock_all(visit: Visit) -> Response:
    """Lock every key that works, for emergencies."""

    def locked(tx: Tx, log: Journalist) -> None:
        count = api_keys.lock_all(tx, owner=visit.owner)
        log("api_key.all_locked", f"merchant:{visit.path('merchant')}", after={"locked": count})

    await visit.write(locked)
    return visit.go(f"{visit.home}/developers/keys", note="all-locked")


async def change_state(visit: Visit) -> Response:
    """Lock or unlock a key."""
    action, key_id = visit.path("action"), number(visit.path("key"))

    def changed(tx: Tx, log: Journalist) -> None:
        key = _lock_or_unlock(tx, visit, action, key_id)
        then = "locked" if action == "lock" else "active"
        log(f"api_key.{action}ed", f"key:{key.prefix}", before={"status": key.status}, after={"status": then})

    await visit.write(changed)
    return visit.go(f"{visit.home}/developers/keys", note=f"{action}ed")


async def ask_to_revoke(visit: Visit) -> Response:
    """Ask for the label, because this cannot be taken back."""
    return visit.render("admin/developers/key-revoke.html", {"key": await _key(visit)})


async def revoke(visit: Visit) -> Response:
    """End a key for good."""
    key = await _key(visit)
    if visit.field("label") != key.name:
        wrong = Invalid([Fault("label", "LABEL_DIFFERS", "Type the label exactly as it stands here.")])
        return visit.wrong("admin/developers/key-revoke.html", wrong, {"key": key})

    def revoked(tx: Tx, log: Journalist) -> None:
        was = api_keys.revoke(tx, key.id, owner=visit.owner)
        log("api_key.revoked", f"key:{was.prefix}", before={"status": was.status}, after={"status": "revoked"})

    await visit.write(revoked)
    return visit.go(f"{visit.home}/developers/keys", note="revoked")


def _lock_or_unlock(tx: Tx, visit: Visit, action: str, key_id: int) -> ApiKey:
    """Raises NotFound, Conflict where the key is not in the state for it."""
    match action:
        case "lock":
            return api_keys.lock(tx, key_id, owner=visit.owner, now=visit.now)
        case "unlock":
            return api_keys.unlock(tx, key_id, owner=visit.owner)
        case _:
            raise NotFound("KEY_NOT_FOUND", "No such key.")


def _shown_once(visit: Visit, key: NewKey) -> Response:
    facts = {"key": key.text.reveal(), "address": visit.deps.settings.public_url}
    return visit.render("admin/developers/key-made.html", facts)


def _place(visit: Visit) -> str:
    return f"{visit.home}/developers/keys/{number(visit.path('key'))}"


async def _key(visit: Visit) -> KeyLine:
    key_id = number(visit.path("key"))
    found = await visit.read(lambda tx: queries.api_key(tx, key_id, owner=visit.owner, now=visit.now))
    if found is None:
        raise NotFound("KEY_NOT_FOUND", "No such key.")
    return found


async def _facts(visit: Visit) -> dict[str, object]:
    key = await _key(visit)
    use = await visit.read(lambda tx: request_log.use(tx, "merchant", key.id, owner=visit.owner, now=visit.now))
    return {"key": key, "use": use}


def _form_facts(visit: Visit) -> dict[str, object]:
    chosen = visit.lists.get("scope") if visit.form else ("read", "write")
    return {"scopes": SCOPES, "chosen": chosen or ()}


def _draft(visit: Visit) -> KeyDraft:
    """Return the key of the form. Raises Invalid with every fault."""
    faults: list[Fault] = []
    label, dialect = visit.field("label"), visit.field("dialect") or "auto"
    scopes = tuple(scope for scope in SCOPES if scope in visit.lists.get("scope", ()))
    if not label or len(label) > LABEL_MAX:
        faults.append(Fault("label", "LABEL_REQUIRED", "Enter a label of at most 80 characters."))
    if not scopes:
        faults.append(Fault("scope", "SCOPES_NONE", "Choose at least one scope."))
    if dialect not in DIALECTS:
        faults.append(Fault("dialect", "DIALECT_INVALID", "Choose one of the list."))
    expires_at = expiry(visit, faults)
    rate_limit, allowed_ips = _rate_limit(visit, faults), networks(visit, "allowed_ips", faults)
    if faults:
        raise Invalid(faults)
    return KeyDraft(label, scopes, expires_at, rate_limit, allowed_ips, cast("Dialect", dialect))


def _rate_limit(visit: Visit, faults: list[Fault]) -> int | None:
    text = visit.field("rate_limit")
    if text and not 1 <= number(text) <= KEY_RATE_MAX:
        faults.append(Fault("rate_limit", "LIMIT_INVALID", "Enter a whole number from 1 to 1,000,000, or nothing."))
        return None
    return number(text) or None


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/developers/keys", index, "developers.view"),
    Screen("GET", "/m/{merchant}/developers/keys/new", offer, "developers.manage"),
    Screen("POST", "/m/{merchant}/developers/keys", create, "developers.manage"),
    Screen("POST", "/m/{merchant}/developers/keys/lock", lock_all, "developers.manage"),
    Screen("GET", "/m/{merchant}/developers/keys/{key}", show, "developers.view"),
    Screen("POST", "/m/{merchant}/developers/keys/{key}/rotation", rotate, "developers.manage", fresh=True),
    Screen("POST", "/m/{merchant}/developers/keys/{key}/scopes", narrow, "developers.manage"),
    Screen("POST", "/m/{merchant}/developers/keys/{key}/limits", set_limits, "developers.manage"),
    Screen("GET", "/m/{merchant}/developers/keys/{key}/revoke", ask_to_revoke, "developers.manage"),
    Screen("POST", "/m/{merchant}/developers/keys/{key}/revoke", revoke, "developers.manage"),
    Screen("POST", "/m/{merchant}/developers/keys/{key}/{action}", change_state, "developers.manage"),
)
