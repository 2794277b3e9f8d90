"""Bank accounts as an operator looks after them: attach, renew, pause, give keys.

The command line and the panel do it alike. What is typed in comes as a `BankForm`; secrets are sealed at once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.outbound.tls import BadProfile, context_for
from opentill.pix import service, store
from opentill.pix.keys import Key
from opentill.pix.model import Account
from opentill.pix.providers import certificates
from opentill.pix.providers.bacen import Profile
from opentill.pix.providers.bacen.authenticity import roots_of

KEYS_MAX: Final = 100  # of one account
UNCHECKED: Final = "hook_unchecked"
OWN: Final = frozenset(
    {"client_id", "client_secret", "certificate", "key", "p12", "p12_password", "roots", "hook_roots", UNCHECKED}
)


@dataclass(frozen=True, slots=True)
class BankForm:
    """What an operator enters about an account. *credentials* by name; empty ones are left out.

    Names are `client_id`, `client_secret`, `certificate` and `key` (PEM) or `p12` (base64) and `p12_password`,
    `roots` (in place of the system's), `hook_roots` (who issues the certificate the bank presents to us),
    `hook_unchecked` (any text: we cannot check that), and what the profile has in braces.
    """

    profile: str
    credentials: Mapping[str, str] = field(repr=False)
    keys: Sequence[Key] = ()
    bank_name: str = ""
    bank_ispb: str = ""
    bank_document: str | None = None


def attach(
    tx: Tx,
    form: BankForm,
    profile: Profile,
    *,
    owner: Owner,
    merchant_uuid: str,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> int:
    """Attach a merchant's bank account and return its number; from now on its money goes through it.

    Raises Refused where the bank needs more than was entered, and Conflict where the merchant has an account at work
    or a key leads to another one.
    """
    credentials = checked(form.credentials, profile, now=now)
    if not form.keys:
        raise Refused("NO_PIX_KEY", "An account needs a PIX key to be paid by.")
    if store.active_account(tx, owner=owner) is not None:
        raise Conflict("ACCOUNT_ACTIVE", "The merchant has a bank account at work. Pause it first.")
    for key in form.keys:
        _require_free(tx, key, owner)
    ispb = form.bank_ispb or profile.ispb
    if len(ispb) != 8 or not ispb.isalnum() or not ispb.isascii():
        raise Refused("BAD_ISPB", "The bank's ISPB has eight characters.")
    account_id, _ = service.attach_account(
        tx,
        owner=owner,
        merchant_uuid=merchant_uuid,
        profile=form.profile,
        bank_name=form.bank_name or profile.bank or form.profile,
        bank_ispb=ispb.upper(),
        bank_document=form.bank_document,
        credentials=credentials,
        keys=form.keys,
        ids=ids,
        keyring=keyring,
        now=now,
    )
    return account_id


def checked(credentials: Mapping[str, str], profile: Profile, *, now: Instant) -> dict[str, str]:
    """Return the credentials that are not empty, after seeing that they are what the bank asks for."""
    given = {name: text for name, text in credentials.items() if text}
    unknown = given.keys() - OWN - profile.braces
    if unknown:
        named = ", ".join(sorted(unknown))
        raise Refused("UNKNOWN_CREDENTIAL", "This bank does not ask for %(named)s.", named=named)
    if "client_id" not in given and "token" not in profile.braces:
        raise Refused("NO_CLIENT_ID", "The bank's client id is missing.")
    tls = certificates.tls_profile(given)
    if profile.mtls and (tls is None or tls.certificate is None or tls.key is None):
        raise Refused("NO_CERTIFICATE", "This bank asks for a client certificate with its key.")
    if tls is not None:
        try:
            context_for(tls)
        except BadProfile as bad:
            raise Refused("BAD_CERTIFICATE", f"{str(bad).capitalize()}.") from None
    ends_at = certificates.expires_at(tls)
    if ends_at is not None and ends_at <= now:
        raise Refused("CERTIFICATE_EXPIRED", "The certificate has run out.")
    if profile.webhook_auth.client_certificate and "hook_roots" not in given and UNCHECKED not in given:
        raise Refused(
            "NO_HOOK_ROOTS",
            "This bank proves its notifications with a certificate: give the certificates of its authority, "
            "or say that they cannot be checked here.",
        )
    if "hook_roots" in given:
        try:
            roots_of(given["hook_roots"])
        except ValueError:
            raise Refused("BAD_HOOK_ROOTS", "The certificates of the bank's authority cannot be read.") from None
    return given


def renew(
    tx: Tx, account_id: int, changed: Mapping[str, str], profile: Profile, *, keyring: Keyring, now: Instant
) -> Account:
    """Replace some of an account's credentials, its certificate or secret; return the account.

    A new certificate replaces the old one in whichever form that came. Running processes use it with their next call.
    """
    account = locked(tx, account_id)
    kept = service.credentials_of(account, keyring)
    if {"certificate", "p12"} & {name for name, text in changed.items() if text}:
        kept = {name: text for name, text in kept.items() if name not in ("certificate", "key", "p12", "p12_password")}
    if changed.get("hook_roots"):
        kept.pop(UNCHECKED, None)
    credentials = checked(kept | {name: text for name, text in changed.items() if text}, profile, now=now)
    context = service.credentials_context(account.merchant_uuid)
    store.set_credentials(tx, account, keyring.seal(json.dumps(credentials).encode(), context))
    return account


def pause(tx: Tx, account_id: int) -> Account:
    """Make no new charges and payouts through an account. What is under way, and what still arrives, goes on."""
    account = locked(tx, account_id)
    store.set_active(tx, account, active=False)
    return account


def resume(tx: Tx, account_id: int) -> Account:
    """Put a paused account to work again. Raises Conflict where another one is at work."""
    account = locked(tx, account_id)
    at_work = store.active_account(tx, owner=account.owner)
    if at_work is not None and at_work.id != account.id:
        raise Conflict("ACCOUNT_ACTIVE", "The merchant has another bank account at work. Pause it first.")
    store.set_active(tx, account, active=True)
    return account


def add_key(tx: Tx, account_id: int, key: Key, *, now: Instant) -> Account:
    """Let one more PIX key lead to an account: the newest is charged by, unless a merchant names another."""
    account = locked(tx, account_id)
    if len(store.active_keys(tx, account.id, owner=account.owner)) >= KEYS_MAX:
        raise Refused("TOO_MANY_KEYS", "An account has at most %(most)s keys.", most=KEYS_MAX)
    _require_free(tx, key, account.owner)
    store.insert_key(tx, account.id, key.value, key.type.value, owner=account.owner, now=now)
    return account


def remove_key(tx: Tx, account_id: int, key: Key) -> Account:
    """Let a key lead nowhere. What still arrives under it is booked into suspense."""
    account = locked(tx, account_id)
    if not store.remove_key(tx, account.id, key.value, owner=account.owner):
        raise NotFound("KEY_NOT_FOUND", "The account has no such key.")
    return account


def locked(tx: Tx, account_id: int) -> Account:
    """Return an account that was not removed, its row locked. Raises NotFound."""
    account = store.lock_account(tx, account_id)
    if account is None or account.removed:
        raise _unknown(account_id)
    return account


def found(tx: ReadTx, account_id: int) -> Account:
    """Return an account that was not removed. Raises NotFound."""
    account = store.account(tx, account_id)
    if account is None or account.removed:
        raise _unknown(account_id)
    return account


def _unknown(account_id: int) -> NotFound:
    return NotFound("ACCOUNT_NOT_FOUND", "There is no bank account %(number)s.", number=account_id)


def _require_free(tx: ReadTx, key: Key, owner: Owner) -> None:
    if store.key_is_taken(tx, key.value, mode=owner.mode):
        raise Conflict("KEY_TAKEN", "The key %(key)s leads to an account already.", key=key.value)
