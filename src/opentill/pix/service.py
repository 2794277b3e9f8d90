"""The rail's own use cases: attaching bank accounts, and charges as far as no payment is concerned.

What a charge's money does to its payment is decided one floor up, in payments/pix/service.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant, after
from opentill.kernel.errors import Fault, Invalid, Refused
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.pix import store
from opentill.pix.identifiers import charge_id_of
from opentill.pix.keys import Key
from opentill.pix.model import Account, Charge, State
from opentill.pix.port import Hint, HintKind, ProviderCharge

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
    bank_document: str | None = None,
) -> tuple[int, Secret]:
    """Attach a bank account; return its id and the token of its notification address."""
    token = Secret(ids.hex(64))
    account_id = store.insert_account(
        tx,
        **owner.columns,
        profile=profile,
        bank_name=bank_name,
        bank_ispb=bank_ispb,
        bank_document=bank_document,
        sealed_credentials=keyring.seal(json.dumps(dict(credentials)).encode(), credentials_context(merchant_uuid)),
        sealed_hook_token=keyring.seal(token, hook_context(merchant_uuid)),
        hook_token_hash=keyring.keyed_hash(token.reveal(), HOOK_PURPOSE),
        now=now,
    )
    for key in keys:
        store.insert_key(tx, account_id, key.value, key.type.value, owner=owner, now=now)
    return account_id, token


def find_account(tx: ReadTx, account_id: int) -> Account | None:
    """Return a provider account of any owner: for jobs and set-up, which start from the account."""
    return store.account(tx, account_id)


def account_of(tx: ReadTx, *, owner: Owner) -> Account | None:
    """Return the provider account an owner receives and pays out with."""
    return store.active_account(tx, owner=owner)


def accounts_to_list(tx: ReadTx, *, listed_before: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Account]:
    """Return active accounts whose infractions were not listed since an instant, the longest waiting first."""
    return store.accounts_to_list(tx, listed_before=listed_before, limit=limit, but=but)


def set_listed(tx: Tx, account: Account, *, at: Instant) -> None:
    """Note when an account's infractions were listed."""
    store.set_listed(tx, account, at=at)


def active_accounts(tx: ReadTx, *, after_id: int, limit: int) -> Sequence[Account]:
    """Return active accounts of all owners in the order of their ids: for jobs."""
    return store.all_active_accounts(tx, after_id=after_id, limit=limit)


def keys_of(tx: ReadTx, account: Account) -> list[str]:
    """Return the keys that lead to an account."""
    return store.active_keys(tx, account.id, owner=account.owner)


def hook_path(tx: ReadTx, account: Account, *, keyring: Keyring) -> str:
    """Return where below our public address the account's bank tells us things. It is a secret."""
    token = keyring.open(store.sealed_hook_token(tx, account.id), hook_context(account.merchant_uuid))
    return f"/hooks/pix/{account.id}/{token.decode()}"


def hook_context(merchant_uuid: str) -> str:
    return f"pix_account.sealed_hook_token/{merchant_uuid}"


def credentials_context(merchant_uuid: str) -> str:
    return f"pix_account.sealed_credentials/{merchant_uuid}"


def credentials_of(account: Account, keyring: Keyring) -> dict[str, str]:
    """Return what the account authenticates with at its bank."""
    opened: dict[str, str] = json.loads(
        keyring.open(account.sealed_credentials, credentials_context(account.merchant_uuid))
    )
    return opened


def check_key(tx: ReadTx, key: str, *, owner: Owner) -> None:
    """See that money sent to a key reaches an owner's account. Raises Invalid."""
    account = store.active_account(tx, owner=owner)
    if account is not None and not store.owns_key(tx, account.id, key, owner=owner):
        raise _not_owned()


class WayIn(NamedTuple):
    """Where a charge's money is to arrive."""

    account: Account
    key: str


def way_in(found: store.FoundWay | None, amount: Money, *, key: str | None = None) -> WayIn:
    """Return where an owner is paid an amount, by what the store found: at a key of theirs, the one named if one was.

    Raises Refused where the merchant has no bank account or key, or the amount is outside the limits, and Invalid
    where the key is not theirs.
    """
    if found is not None and found.key is None and key is not None:
        raise _not_owned()
    if found is None or found.key is None:
        raise Refused("NO_PIX_KEY", "No active PIX key")
    _check_limits(found, amount)
    return WayIn(found.account, found.key)


def start_charge(
    tx: Tx,
    charge_id: str,
    amount: Money,
    way: WayIn,
    *,
    payment_id: int,
    payment_uuid: str,
    announces: bool,
    description: str,
    expires_in_s: int,
    now: Instant,
    external_id: str | None = None,
) -> Charge:
    """Write down that a charge will be asked of the bank, under which id (C1).

    Its payment may be stored in the same breath: then its id is not known yet, and given as 0.
    """
    charge = Charge(
        id=charge_id,
        payment_id=payment_id,
        announces=announces,
        owner=way.account.owner,
        account_id=way.account.id,
        state=State.CREATING,
        amount=amount,
        key=way.key,
        description=description,
        external_id=external_id,
        code=None,
        expires_in_s=expires_in_s,
        expires_at=after(now, expires_in_s * SECOND),
        created_at=now,
        updated_at=now,
    )
    store.insert_charge(tx, charge, payment_uuid=payment_uuid, next_check_at=after(now, ABANDONED))
    reach("charge.written")
    return charge


def _check_limits(found: store.FoundWay, amount: Money) -> None:
    least, most = found.least_units, found.most_units
    if (least is not None and amount.units < least) or (most is not None and amount.units > most):
        raise Refused("LIMIT_EXCEEDED", "Transaction limit exceeded")


def _not_owned() -> Invalid:
    return Invalid([Fault("pix_key", "PIX_KEY_NOT_OWNED", "pix_key does not belong to this account")])


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


def end_time(tx: Tx, charge: Charge, *, now: Instant) -> Charge:
    """Let a charge's time be over, and have it looked at."""
    over = replace(charge, expires_at=now)
    store.update_charge(tx, over, next_check_at=now)
    return over


def free_conflicted(tx: Tx, receipt_id: int, *, owner: Owner, now: Instant) -> None:
    """The other amount that a charge was paid with has gone back (C8): the charge is as it was before."""
    charge = store.lock_charge_of_receipt(tx, receipt_id, owner=owner)
    if charge is None or charge.state is not State.CONFLICTED:
        return
    counts = store.charge_of_payment(tx, charge.payment_id, owner=owner)
    state = State.EXPIRED
    if store.is_payment_cancelled(tx, charge.payment_id, owner=owner):
        state = State.CANCELLED
    elif counts is not None and counts.id == charge.id and now < charge.expires_at:
        state = State.ACTIVE
    free = replace(charge, state=state, updated_at=now)
    store.update_charge(tx, free, next_check_at=now if state is State.ACTIVE else None)


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
    announced = set()
    for hint in hints:
        txid = store.insert_hint(tx, account.id, kind=hint.kind.value, ref=hint.ref, txid=hint.txid, now=now)
        if hint.kind is HintKind.RECEIPT:
            announced.add(charge_id_of(txid or ""))
    store.set_paying(tx, [charge_id for charge_id in announced if charge_id], account.id, now=now)
    reach("notification.written")


def have_read(tx: Tx, account: Account, e2e_id: str, *, now: Instant) -> None:
    """Have a receipt read at its bank and booked as the bank then says. Safe to repeat."""
    hint = Hint(HintKind.RECEIPT, None, e2e_id)
    store.insert_hint(tx, account.id, kind=hint.kind.value, ref=hint.ref, txid=None, now=now)


def find_account_by_hook(tx: ReadTx, account_id: int, token: str, *, keyring: Keyring) -> Account | None:
    """Return the account a notification address belongs to, if its token is right."""
    return store.account_by_hook(tx, account_id, keyring.keyed_hash(token, HOOK_PURPOSE))


def put_hint_off(tx: Tx, hint: Row, *, now: Instant) -> None:
    """Look at a hint again later; after the last wait only the sweep remains."""
    tries: int = hint["tries"]
    if tries < len(HINT_WAITS):
        store.put_hint_off(tx, hint, due_at=after(now, HINT_WAITS[tries]))
    else:
        end_hint(tx, hint, now=now)


def end_hint(tx: Tx, hint: Row, *, now: Instant) -> None:
    """A hint is dealt with. A charge it announced money for, and that was not paid, may be paid again (C13)."""
    charge_id = charge_id_of(hint["txid"] or "")
    waits = store.end_hint(tx, hint, charge_id)
    if waits and charge_id is not None:
        store.stop_paying(tx, charge_id, hint["account_id"], now=now)


def sweep_window(account: Account, *, now: Instant) -> tuple[Instant, Instant]:
    """Return what to list: from the last good end less 15 minutes, until ten seconds ago, a few hours at most."""
    start = Instant(min(account.swept_until_at, now) - 15 * MINUTE)
    return start, min(Instant(now - 10 * SECOND), after(start, SWEPT_AT_ONCE))
