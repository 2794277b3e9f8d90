"""The rail's own use cases: attaching bank accounts, and charges as far as no payment is concerned.

What a charge's money does to its payment is decided one floor up, in payments/pix.py.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Fault, Invalid, Refused
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.pix import store
from opentill.pix.keys import Key
from opentill.pix.model import Account, Charge, State
from opentill.pix.port import Hint, ProviderCharge

ABANDONED = 10 * MINUTE  # a charge nobody finished creating is removed after this (C3)
POLLS = (30 * SECOND, 2 * MINUTE, 5 * MINUTE)  # after creation, where the bank may have sent no notification
LAST_LOOK = 15 * MINUTE  # after expiry
SWEPT_AT_ONCE = 6 * HOUR  # what is further behind is swept bit by bit
HINT_WAITS = (2 * SECOND, 10 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE)  # pix-rail.md §6.7
HOOK_PURPOSE = "pix_account.hook_token"


def attach_account(
    tx: Tx,
    *,
    owner: Owner,
    merchant_uuid: str,
    profile: str,
    bank_name: str,
    bank_ispb: str,
    credentials: Mapping[str, str],
    keys: Sequence[Key],
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> tuple[int, Secret]:
    """Attach a bank account; return its id and the token of its notification address."""
    token = Secret(ids.hex(64))
    account_id = store.insert_account(
        tx,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        profile=profile,
        bank_name=bank_name,
        bank_ispb=bank_ispb,
        sealed_credentials=keyring.seal(json.dumps(dict(credentials)).encode(), credentials_context(merchant_uuid)),
        sealed_hook_token=keyring.seal(token, f"pix_account.sealed_hook_token/{merchant_uuid}"),
        hook_token_hash=keyring.keyed_hash(token.reveal(), HOOK_PURPOSE),
        now=now,
    )
    for key in keys:
        store.insert_key(tx, account_id, key.value, key.type.value, owner=owner, now=now)
    return account_id, token


def find_account(tx: ReadTx, account_id: int) -> Account | None:
    """Return a provider account of any owner: for jobs and set-up, which start from the account."""
    return store.account(tx, account_id)


def credentials_context(merchant_uuid: str) -> str:
    return f"pix_account.sealed_credentials/{merchant_uuid}"


def credentials_of(account: Account, keyring: Keyring) -> dict[str, str]:
    """Return what the account authenticates with at its bank."""
    opened: dict[str, str] = json.loads(
        keyring.open(account.sealed_credentials, credentials_context(account.merchant_uuid))
    )
    return opened


def start_charge(
    tx: Tx,
    charge_id: str,
    payment_id: int,
    amount: Money,
    *,
    announces: bool,
    owner: Owner,
    description: str,
    expires_in_s: int,
    now: Instant,
    external_id: str | None = None,
    key: str | None = None,
) -> Charge:
    """Write down that a charge will be asked of the bank, under which id (C1).

    Raises Refused where the merchant has no bank account or key, Invalid where the key is not theirs.
    """
    account = store.active_account(tx, owner=owner)
    if account is None:
        raise Refused("NO_PIX_KEY", "No active PIX key")
    if key is not None and not store.owns_key(tx, account.id, key, owner=owner):
        raise Invalid([Fault("pix_key", "PIX_KEY_NOT_OWNED", "pix_key does not belong to this account")])
    chosen = key or store.newest_key(tx, account.id, owner=owner)
    if chosen is None:
        raise Refused("NO_PIX_KEY", "No active PIX key")
    charge = Charge(
        id=charge_id,
        payment_id=payment_id,
        announces=announces,
        owner=owner,
        account_id=account.id,
        state=State.CREATING,
        amount=amount,
        key=chosen,
        description=description,
        external_id=external_id,
        code=None,
        expires_in_s=expires_in_s,
        expires_at=after(now, expires_in_s * SECOND),
        created_at=now,
        updated_at=now,
    )
    store.insert_charge(tx, charge, next_check_at=after(now, ABANDONED))
    return charge


def activate(tx: Tx, charge: Charge, made: ProviderCharge, *, now: Instant) -> Charge:
    """Save a created charge's code and the bank's expiry (C2), and plan when to look at it again."""
    active = replace(charge, state=State.ACTIVE, code=made.code, expires_at=made.expires_at, updated_at=now)
    store.update_charge(tx, active, next_check_at=next_look(active, now))
    return active


def take_up(tx: Tx, charge: Charge, *, now: Instant) -> None:
    """Go on with a charge whose creation is not finished: it is not given up for another ten minutes."""
    store.plan_look(tx, charge, at=after(now, ABANDONED))


def give_up(tx: Tx, charge: Charge, *, now: Instant) -> Charge:
    """Save that a charge is not to be (C3), and have it removed at its bank, where it may have been made."""
    given_up = replace(charge, state=State.REJECTED, updated_at=now)
    store.update_charge(tx, given_up, next_check_at=now)
    return given_up


def settle(tx: Tx, charge: Charge, state: State, *, now: Instant) -> Charge:
    """Save that a charge reached a state in which its bank is asked no more, but for one late look after expiry."""
    settled = replace(charge, state=state, updated_at=now)
    late_look = after(charge.expires_at, LAST_LOOK)
    looks_again = state is State.EXPIRED and now < late_look
    store.update_charge(tx, settled, next_check_at=late_look if looks_again else None)
    return settled


def looked_at(tx: Tx, charge: Charge, *, now: Instant) -> None:
    """Plan the next look at a charge that may still be paid in time."""
    store.plan_look(tx, charge, at=next_look(charge, now))


def missed(tx: Tx, charge: Charge, *, now: Instant) -> None:
    """Plan the late look at an expired charge again, as its bank was away: for a day, then only the sweep remains."""
    store.plan_look(tx, charge, at=after(now, LAST_LOOK) if now < after(charge.expires_at, DAY) else None)


def next_look(charge: Charge, now: Instant) -> Instant:
    """Return when the bank is asked next: soon after the charge was made, then at expiry (pix-rail.md §6.8).

    After that it is asked every minute, until it says what the charge has come to.
    """
    if now >= charge.expires_at:
        return after(now, MINUTE)
    polls = [after(charge.updated_at, wait) for wait in POLLS]
    return min(next((poll for poll in polls if poll > now), charge.expires_at), charge.expires_at)


def note_notification(tx: Tx, account: Account, body: bytes, hints: Sequence[Hint], *, now: Instant) -> None:
    """Keep a bank's notification as it came, and its hints to be confirmed by reading. Safe to repeat."""
    store.insert_callback(tx, account.id, body, hashlib.sha256(body).hexdigest(), now=now)
    for hint in hints:
        store.insert_hint(tx, account.id, kind=hint.kind.value, ref=hint.ref, txid=hint.txid, now=now)


def find_account_by_hook(tx: ReadTx, account_id: int, token: str, *, keyring: Keyring) -> Account | None:
    """Return the account a notification address belongs to, if its token is right."""
    return store.account_by_hook(tx, account_id, keyring.keyed_hash(token, HOOK_PURPOSE))


def put_hint_off(tx: Tx, hint: Row, *, now: Instant) -> None:
    """Look at a hint again later; after the last wait only the sweep remains."""
    tries: int = hint["tries"]
    store.set_hint(tx, hint, due_at=after(now, HINT_WAITS[tries]) if tries < len(HINT_WAITS) else None)


def sweep_window(account: Account, *, now: Instant) -> tuple[Instant, Instant]:
    """Return what to list: from the last good end less 15 minutes, until ten seconds ago, a few hours at most."""
    start = Instant(min(account.swept_until_at, now) - 15 * MINUTE)
    return start, min(Instant(now - 10 * SECOND), after(start, SWEPT_AT_ONCE))
