"""Signing in: a password, then a code where a second factor is on, then a session on the server.

Every way in asks the same two questions through the same two doors. Five wrong answers within five minutes close the
door of this account from this address for a quarter of an hour; twenty-five close the address to every account.
Nothing here tells whether an account exists: an unknown e-mail costs, counts and answers like a known one.
"""

from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import HOUR, MINUTE, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring, Secret
from opentill.operators import factors
from opentill.operators.model import Operator, SignedIn
from opentill.operators.store import access, people

FAILURES_MAX: Final = 5  # of one account from one address
ADDRESS_FAILURES_MAX: Final = 25  # of one address, whatever the account
WINDOW: Final = 5 * MINUTE
LOCKED_FOR: Final = 15 * MINUTE
FACTOR_WITHIN: Final = 5 * MINUTE
IDLE_MAX: Final = 2 * HOUR
LASTS: Final = 12 * HOUR
FRESH: Final = 10 * MINUTE  # sensitive actions ask again after this
SEEN_EVERY: Final = MINUTE
TOKEN_HEX: Final = 64  # 256 bits
AGENT_MAX: Final = 200  # characters kept of a browser's name
SESSION_PURPOSE: Final = "operator_session.token"
ACCOUNT_PURPOSE: Final = "sign_in.account"
# What a password is compared with where nobody has that e-mail: the hash of a random text that was thrown away.
NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$391ETeMGDUtXs/S7gRSpZw$O7x2ogfjGHd+BCtajMzdJyPX9txpeviZ8/kOwxc4b8U"


@dataclass(frozen=True, slots=True)
class Caller:
    """From where somebody asks to be let in."""

    origin: str
    agent: str
    language: str | None = None  # of the page they saw


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom an e-mail may mean, and the hash to compare the password with, on a thread of its own."""

    account_hash: str
    operator: Operator | None
    password_hash: str
    locked_until: Instant


@dataclass(frozen=True, slots=True)
class Opened:
    """The door is open: the token of the new session, and whether a code is still due in it."""

    token: Secret
    factor_due: bool


@dataclass(frozen=True, slots=True)
class Wrong:
    """Password or code do not fit, or nobody has that e-mail. It was counted."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Too many wrong answers; whatever is offered until then is not looked at."""

    until: Instant


def candidate(tx: ReadTx, email: str, origin: str, *, keyring: Keyring, now: Instant) -> Candidate:
    """Return whom an e-mail may mean."""
    known = email.strip().lower()
    account_hash = keyring.keyed_hash(known, ACCOUNT_PURPOSE)
    found = people.with_hash(tx, known)
    operator, password_hash = found or (None, NOBODY)
    return Candidate(account_hash, operator, password_hash, _locked_until(tx, account_hash, origin))


def enter(
    tx: Tx, who: Candidate, caller: Caller, *, matched: bool, ids: Ids, keyring: Keyring, now: Instant
) -> Opened | Wrong | Locked:
    """Open a session if the password *matched*. Safe against many guesses at once: each passes the door alone."""
    locked = _pass_door(tx, who.account_hash, caller.origin, right=matched and who.operator is not None, now=now)
    operator_id = who.operator.id if who.operator else None
    if locked is not None or who.operator is None or not matched:
        _note(tx, operator_id, caller, "locked" if locked else "wrong password", now=now)
        return Locked(locked) if locked else Wrong()
    due = factors.is_on(tx, who.operator.id)
    _note(tx, operator_id, caller, "code asked" if due else "signed in", now=now)
    return _open(tx, who.operator, caller, factor_due=due, ids=ids, keyring=keyring, now=now)


def give_code(
    tx: Tx, token: str, code: str, caller: Caller, *, ids: Ids, keyring: Keyring, now: Instant
) -> Opened | Wrong | Locked | None:
    """Answer the second question; the session of the first gives way to a new one. None: too late, begin again."""
    row = _session(tx, token, keyring=keyring, now=now)
    if row is None or not row["factor_due"]:
        return None
    operator = people.as_operator(row)
    account_hash = keyring.keyed_hash(operator.email, ACCOUNT_PURPOSE)
    locked = _lock_door(tx, account_hash, caller.origin, now=now)
    right = locked is None and factors.prove(tx, operator.id, code, keyring=keyring, now=now)
    locked = _pass_door(tx, account_hash, caller.origin, right=right, now=now)
    if locked is not None or not right:
        _note(tx, operator.id, caller, "locked" if locked else "wrong code", now=now)
        return Locked(locked) if locked else Wrong()
    _note(tx, operator.id, caller, "signed in", now=now)
    access.end_session(tx, row["session_id"], now=now)
    return _open(tx, operator, caller, factor_due=False, ids=ids, keyring=keyring, now=now)


def open_first(tx: Tx, operator: Operator, caller: Caller, *, ids: Ids, keyring: Keyring, now: Instant) -> Opened:
    """Open the session of somebody who just chose their password through a link, and has no second factor."""
    _note(tx, operator.id, caller, "signed in", now=now)
    return _open(tx, operator, caller, factor_due=False, ids=ids, keyring=keyring, now=now)


def confirm(
    tx: Tx, who: SignedIn, code: str, caller: Caller, *, matched: bool, keyring: Keyring, now: Instant
) -> Wrong | Locked | None:
    """Note that password and code were given again within a session. None: they fit."""
    account_hash = keyring.keyed_hash(who.operator.email, ACCOUNT_PURPOSE)
    locked = _lock_door(tx, account_hash, caller.origin, now=now)
    right = locked is None and matched and factors.prove(tx, who.operator.id, code, keyring=keyring, now=now)
    locked = _pass_door(tx, account_hash, caller.origin, right=right, now=now)
    if locked is not None or not right:
        _note(tx, who.operator.id, caller, "locked" if locked else "not confirmed", now=now)
        return Locked(locked) if locked else Wrong()
    access.confirm_session(tx, who.session_id, now=now)
    return None


def recognise(tx: ReadTx, token: str, *, keyring: Keyring, now: Instant) -> SignedIn | None:
    """Return who is signed in with a session's token. The one way to tell, for every page of the panel."""
    row = _session(tx, token, keyring=keyring, now=now)
    if row is None or row["factor_due"]:
        return None
    operator = people.as_operator(row)
    return SignedIn(row["session_id"], row["public_id"], operator, people.grants(tx, operator.id), row["confirmed_at"])


def code_is_due(tx: ReadTx, token: str, *, keyring: Keyring, now: Instant) -> bool:
    """Tell whether a session waits for its code."""
    row = _session(tx, token, keyring=keyring, now=now)
    return row is not None and bool(row["factor_due"])


def touch(tx: Tx, session_id: int, *, now: Instant) -> None:
    """Note that a session is in use. Callers do this at most once a minute."""
    access.touch_session(tx, session_id, now=now)


def leave(tx: Tx, session_id: int, *, now: Instant) -> None:
    """End a session."""
    access.end_session(tx, session_id, now=now)


def is_fresh(who: SignedIn, now: Instant) -> bool:
    """Tell whether password and code were given a short while ago."""
    return now < after(who.confirmed_at, FRESH)


def _open(
    tx: Tx, operator: Operator, caller: Caller, *, factor_due: bool, ids: Ids, keyring: Keyring, now: Instant
) -> Opened:
    token = Secret(ids.hex(TOKEN_HEX))
    if caller.language is not None:
        people.set_language(tx, operator.id, caller.language)
    access.insert_session(
        tx,
        public_id=ids.hex(16),
        token_hash=keyring.keyed_hash(token.reveal(), SESSION_PURPOSE),
        operator_id=operator.id,
        factor_due=int(factor_due),
        origin=caller.origin,
        agent=caller.agent[:AGENT_MAX],
        ends_at=after(now, FACTOR_WITHIN if factor_due else LASTS),
        now=now,
    )
    return Opened(token, factor_due)


def _session(tx: ReadTx, token: str, *, keyring: Keyring, now: Instant) -> Row | None:
    token_hash = keyring.keyed_hash(token, SESSION_PURPOSE)
    return access.session(tx, token_hash, now=now, idle_since=after(now, -IDLE_MAX))


def _note(tx: Tx, operator_id: int | None, caller: Caller, outcome: str, *, now: Instant) -> None:
    access.insert_attempt(
        tx, operator_id=operator_id, origin=caller.origin, agent=caller.agent[:AGENT_MAX], outcome=outcome, now=now
    )


def _locked_until(tx: ReadTx, account_hash: str, origin: str) -> Instant:
    doors = (access.door(tx, account_hash, origin), access.door(tx, "", origin))
    return Instant(max(door["locked_until_at"] if door else 0 for door in doors))


def _lock_door(tx: Tx, account_hash: str, origin: str, *, now: Instant) -> Instant | None:
    """Hold both doors until *tx* ends, the address's first; return until when one of them is locked."""
    until = 0
    for account in ("", account_hash):
        access.make_door(tx, account, origin, now=now)
        door = access.door(tx, account, origin, lock=True)
        until = max(until, door["locked_until_at"] if door else 0)
    return Instant(until) if now < until else None


def _pass_door(tx: Tx, account_hash: str, origin: str, *, right: bool, now: Instant) -> Instant | None:
    """Go through both doors, or count a failure at them; return until when they are locked."""
    locked = _lock_door(tx, account_hash, origin, now=now)
    if locked is not None:
        return locked
    if right:
        access.set_door(tx, account_hash, origin, failures=0, since_at=now, locked_until_at=Instant(0))
        return None
    _count(tx, "", origin, most=ADDRESS_FAILURES_MAX, now=now)
    _count(tx, account_hash, origin, most=FAILURES_MAX, now=now)
    return None


def _count(tx: Tx, account_hash: str, origin: str, *, most: int, now: Instant) -> None:
    door = access.door(tx, account_hash, origin, lock=True)
    if door is None or now >= after(door["since_at"], WINDOW):
        failures, since = 1, now
    else:
        failures, since = door["failures"] + 1, door["since_at"]
    until = after(now, LOCKED_FOR) if failures >= most else Instant(0)
    access.set_door(tx, account_hash, origin, failures=failures % most, since_at=since, locked_until_at=until)
