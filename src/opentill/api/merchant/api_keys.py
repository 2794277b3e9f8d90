"""/api-keys: keys that manage keys (merchant-api.md §9.12). Each change is in the audit log."""

import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.api.merchant import api_keys_documents as documents
from opentill.api.merchant.call import MerchantCall
from opentill.api.merchant.errors import Stopped
from opentill.api.merchant.once import once, once_made
from opentill.api.merchant.paging import read_instant
from opentill.db import Tx
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Invalid, NotFound
from opentill.merchants import api_keys, queries
from opentill.merchants.api_keys import AlreadyRevoked, KeyDraft
from opentill.merchants.model import DEFAULT_SCOPES, KEY_RATE_MAX, SCOPES, KeyLine
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.payments.fields import WHOLE, Fields
from opentill.web.addresses import is_network
from opentill.web.exchange import Answer
from opentill.web.json_body import write
from opentill.web.routes import Operation

NAME_MAX: Final = 80
ALLOWED_IPS_MAX: Final = 100
WARNING: Final = "Store this key now; it will not be shown again."
ID_FORM: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


async def index(call: MerchantCall) -> Answer:
    """List the keys in service, or with `status=all` every key."""
    ended = call.query().get("status") == "all"
    now, owner = call.arrived_at, call.by.owner

    keys = await call.dependencies.db.read(lambda tx: queries.api_keys(tx, owner=owner, now=now, ended=ended))

    return Answer(200, write({"success": True, "data": [_shown(key) for key in keys]}))


async def create(call: MerchantCall) -> Answer:
    """Make a key, which is shown in this answer only. It has no scope that the calling key lacks."""
    draft = _read(call)
    deps = call.dependencies

    def work(tx: Tx) -> bytes:
        made = api_keys.create(tx, draft, owner=call.by.owner, ids=deps.ids, now=call.arrived_at)
        _note(tx, call, "api_key.created", made.prefix, {"name": draft.name, "scopes": list(draft.scopes)})
        data = {
            "key": made.text.reveal(),
            "prefix": made.prefix,
            "warning": WARNING,
            "id": made.id,
            "name": draft.name,
            "scopes": list(draft.scopes),
            "expires_at": None if draft.expires_at is None else iso_seconds(draft.expires_at),
        }
        return write({"success": True, "data": data})

    return await once_made(call, 201, work)


async def revoke(call: MerchantCall) -> Answer:
    """End a key for good; it may be the calling one."""
    key_id = call.values["id"]
    if ID_FORM.fullmatch(key_id) is None:
        raise NotFound("KEY_NOT_FOUND", "No such API key.")

    def work(tx: Tx) -> None:
        try:
            key = api_keys.revoke(tx, int(key_id), owner=call.by.owner)
        except AlreadyRevoked as already:
            raise Stopped(400, already.code, already.message) from None
        _note(tx, call, "api_key.revoked", key.prefix, {"name": key.name})

    body = write({"success": True, "data": {"message": "API key revoked."}})
    answer = await once(call, 200, body, work)
    call.forget_callers()
    return answer


def _read(call: MerchantCall) -> KeyDraft:
    """Read what is asked for. Raises Invalid with every fault, or 403 for scopes the calling key lacks."""
    fields = Fields(call.fields)
    name = fields.text("name", "label", most=NAME_MAX) or api_keys.NAME
    scopes = _scopes(fields, call)
    expires_at = _expires_at(fields, call.arrived_at)
    rate_limit = _rate_limit(fields)
    allowed_ips = _allowed_ips(fields)
    if fields.faults:
        raise Invalid(fields.faults)
    if not call.by.scopes.issuperset(scopes):
        raise Stopped(403, "INSUFFICIENT_PRIVILEGE", "A key makes no key with a scope that it lacks.")
    return KeyDraft(name, scopes, expires_at, rate_limit, allowed_ips)


def _scopes(fields: Fields, call: MerchantCall) -> tuple[str, ...]:
    name, asked = fields.raw("scopes")
    if asked is None:
        return tuple(scope for scope in DEFAULT_SCOPES if scope in call.by.scopes)
    if not isinstance(asked, list) or not asked or any(scope not in SCOPES for scope in asked):
        fields.fault(name, "INVALID_SCOPES", "scopes must be a list of read, write and admin.")
        return ()
    return tuple(scope for scope in SCOPES if scope in asked)


def _expires_at(fields: Fields, now: Instant) -> Instant | None:
    text = fields.text("expires_at")
    if text is None:
        return None
    ends_at = read_instant(text)
    if ends_at is None or ends_at <= now:
        fields.fault("expires_at", "VALIDATION_FAILED", "expires_at must be a time to come: 2027-01-31T12:00:00Z.")
    return ends_at


def _rate_limit(fields: Fields) -> int | None:
    text = fields.text("rate_limit")
    if text is None:
        return None
    if not WHOLE.fullmatch(text) or not 1 <= int(text) <= KEY_RATE_MAX:
        fields.fault("rate_limit", "VALIDATION_FAILED", f"rate_limit must be a whole number from 1 to {KEY_RATE_MAX}.")
        return None
    return int(text)


def _allowed_ips(fields: Fields) -> tuple[str, ...]:
    name, asked = fields.raw("allowed_ips")
    if asked is None:
        return ()
    if not isinstance(asked, list) or len(asked) > ALLOWED_IPS_MAX or not all(is_network(entry) for entry in asked):
        message = f"allowed_ips must be a list of at most {ALLOWED_IPS_MAX} addresses or networks such as 10.0.0.0/8."
        fields.fault(name, "VALIDATION_FAILED", message)
        return ()
    return tuple(asked)


def _note(tx: Tx, call: MerchantCall, action: str, prefix: str, detail: Mapping[str, object]) -> None:
    change = Change(f"key:{call.by.prefix}", call.address, action, f"api_key:{prefix}", detail)
    audit.write(tx, change, now=call.arrived_at)


def _shown(key: KeyLine) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "label": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "status": key.status,
        "last_used": None if key.last_used_at is None else iso_seconds(key.last_used_at),
        "expires_at": None if key.expires_at is None else iso_seconds(key.expires_at),
        "created_at": iso_seconds(key.created_at),
    }


OPERATIONS: Final = (
    Operation("GET", "/api-keys", index, "admin", documents.LIST),
    Operation("POST", "/api-keys", create, "admin", documents.CREATE),
    Operation("DELETE", "/api-keys/{id}", revoke, "admin", documents.REVOKE, failure="KEY_REVOCATION_FAILED"),
)
