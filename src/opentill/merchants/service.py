"""Making merchants, their keys and credentials, and recognising them again."""

import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret, same
from opentill.merchants import api_keys, store
from opentill.merchants.api_keys import KeyDraft
from opentill.merchants.model import DEFAULT_PERMISSIONS, DEFAULT_SCOPES, ApiKey, Merchant, PixCredential

KEY_FORM: Final = re.compile(r"op_([0-9a-f]{8})\.[0-9a-f]{48}", re.ASCII)
SECRET_PURPOSE: Final = "pix_credential.secret"  # noqa: S105 - a name, not a secret
AGENT_MAX: Final = 200  # characters of a User-Agent that are kept
NOBODY: Final = "0" * 64  # compared with where nothing was found, so that a miss costs what a hit does


def create_merchant(
    tx: Tx,
    name: str,
    *,
    mode: Mode,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    outbound_allow: Sequence[str] = (),
) -> Merchant:
    """Create a merchant with a default webhook secret. *outbound_allow* opens private receivers for it alone."""
    uuid = ids.uuid7()
    secret = Secret("whsec_" + b64encode(ids.token_bytes(32)).decode())
    merchant_id = store.insert_merchant(
        tx,
        uuid=uuid,
        slug=f"{_slug(name)}-{ids.hex(6)}",
        name=name,
        city="SAO PAULO",
        mode=int(mode),
        sealed_secret=keyring.seal(secret, f"merchant.sealed_secret/{uuid}"),
        outbound_allow=json.dumps(list(outbound_allow)),
        now=now,
    )
    return merchant_of(tx, Owner(merchant_id, mode))


def merchant_of(tx: ReadTx, owner: Owner) -> Merchant:
    """Return the merchant of an owner's row. Raises NotFound."""
    found = store.merchant(tx, owner.merchant_id)
    if found is None:
        raise NotFound("MERCHANT_NOT_FOUND", "No such merchant.")
    return found


def find_merchant(tx: ReadTx, uuid: str) -> Merchant:
    """Return the merchant of a public id. Raises NotFound."""
    found = store.merchant_by_uuid(tx, uuid)
    if found is None:
        raise NotFound("MERCHANT_NOT_FOUND", "There is no merchant %(uuid)s.", uuid=uuid)
    return found


def default_secret(tx: ReadTx, merchant: Merchant, *, keyring: Keyring) -> Secret:
    """Return the secret that signs what goes to callback addresses (merchant-api.md §14.5)."""
    return keyring.open_secret(store.sealed_secret(tx, merchant.id), f"merchant.sealed_secret/{merchant.uuid}")


def create_api_key(
    tx: Tx,
    *,
    owner: Owner,
    ids: Ids,
    now: Instant,
    name: str = "Default",
    scopes: Sequence[str] = DEFAULT_SCOPES,
    rate_limit: int | None = None,
    expires_at: Instant | None = None,
) -> Secret:
    """Create a key of the merchant API and return its text, which is shown once and never stored."""
    draft = KeyDraft(name, tuple(scopes), rate_limit=rate_limit, expires_at=expires_at)
    return api_keys.create(tx, draft, owner=owner, ids=ids, now=now).text


def find_api_key(tx: ReadTx, text: str) -> ApiKey | None:
    """Return the key of a bearer text in whatever state, or None. A wrong text costs what a right one does."""
    form = KEY_FORM.fullmatch(text)
    offered = api_keys.hash_of(text)
    found = None
    for stored, key in store.api_keys_by_prefix(tx, form[1] if form else ""):
        if same(stored, offered):
            found = key
    return found


def touch_api_key(tx: Tx, key_id: int, *, ip: str, agent: str, now: Instant) -> None:
    """Note that a key was used. Callers do this at most once a minute per key."""
    store.touch_api_key(tx, key_id, ip=ip, agent=agent[:AGENT_MAX].replace("\0", ""), now=now)


def revoke_api_key(tx: Tx, prefix: str, *, owner: Owner) -> None:
    """End a key for good. Raises NotFound where the owner has none of that prefix that is not revoked."""
    if not store.revoke_api_key(tx, prefix, owner=owner):
        raise NotFound("KEY_NOT_FOUND", "No such key, or it is revoked already.")


def create_credential(
    tx: Tx,
    *,
    owner: Owner,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    name: str = "Default",
    permissions: Sequence[str] = DEFAULT_PERMISSIONS,
    allowed_ips: Sequence[str] = (),
    expires_at: Instant | None = None,
) -> tuple[str, Secret]:
    """Create a PIX credential; return its client id and its secret, which is shown once and never stored.

    The allow-list is checked on live credentials from the start, on sandbox ones once it has an entry.
    """
    client_id = "cli_" + ids.hex(12)
    secret = new_secret(owner, ids)
    store.insert_credential(
        tx,
        client_id=client_id,
        **owner.columns,
        name=name,
        secret_hash=keyring.keyed_hash(secret.reveal(), SECRET_PURPOSE),
        permissions=json.dumps(list(permissions)),
        check_ips=int(owner.mode is Mode.LIVE or bool(allowed_ips)),
        allowed_ips=json.dumps(list(allowed_ips)),
        expires_at=expires_at,
        now=now,
    )
    return client_id, secret


def new_secret(owner: Owner, ids: Ids) -> Secret:
    """Return the text of a new secret of a PIX credential."""
    return Secret(("sk_live_" if owner.mode is Mode.LIVE else "sk_test_") + ids.alnum(40))


def find_credential(tx: ReadTx, client_id: str, secret: str, *, keyring: Keyring, now: Instant) -> PixCredential | None:
    """Return the usable credential of an id and secret, or None.

    An unknown id, a wrong secret, a revoked and an expired credential cost the same and answer the same.
    """
    found = store.credential(tx, client_id)
    offered = keyring.keyed_hash(secret, SECRET_PURPOSE)
    current, previous = NOBODY, NOBODY
    if found is not None:
        row, _ = found
        current = row["secret_hash"]
        if row["old_secret_hash"] is not None and now < row["old_secret_until_at"]:
            previous = row["old_secret_hash"]
    matches = same(current, offered) | same(previous, offered)
    if found is None or not matches or not found[1].usable(now):
        return None
    return found[1]


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "merchant"
