"""Operators after the first: inviting, roles, passwords, sessions. Each change is audited by its caller.

Who invites or resets passes a link on. It works once, within a day, and only chooses a password; a second factor that
is on stays on.
"""

import re
from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring, Secret
from opentill.operators import passwords
from opentill.operators.model import Grant, Operator
from opentill.operators.permissions import ALL, OWNER, ROLES
from opentill.operators.service import EMAIL_FORM, EMAIL_MAX, NAME_MAX, SETUP_TOKEN_HEX
from opentill.operators.sign_in import IDLE_MAX
from opentill.operators.store import access, people
from opentill.operators.store import setup as store

LINK_LIVES: Final = DAY
LINK_PURPOSE: Final = "operator_link.token"
NO_PASSWORD: Final = "!"  # noqa: S105 - matches nothing
ROLE_NAME_MAX: Final = 60


def invite(
    tx: Tx,
    *,
    email: str,
    name: str,
    role: str,
    merchant_id: int | None,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> tuple[Operator, Secret]:
    """Add an operator with a role; return them and the token of the link by which they choose a password.

    Raises Invalid with every fault.
    """
    email, name = email.strip().lower(), " ".join(name.split())
    faults = []
    if len(email) > EMAIL_MAX or not EMAIL_FORM.fullmatch(email):
        faults.append(Fault("email", "EMAIL_INVALID", "Enter an e-mail address, for example ana@example.com."))
    elif people.exists(tx, email):
        faults.append(Fault("email", "EMAIL_TAKEN", "An operator with this e-mail exists already."))
    if not name or len(name) > NAME_MAX:
        faults.append(Fault("name", "NAME_REQUIRED", "Enter a name of at most 150 characters."))
    if role not in role_names(tx):
        faults.append(Fault("role", "ROLE_UNKNOWN", "Choose a role."))
    if faults:
        raise Invalid(faults)
    operator_id = store.insert_operator(tx, email=email, name=name, password_hash=NO_PASSWORD, now=now)
    people.set_grant(tx, operator_id, role, merchant_id=merchant_id, now=now)
    return found(tx, operator_id), new_link(tx, operator_id, ids=ids, keyring=keyring, now=now)


def new_link(tx: Tx, operator_id: int, *, ids: Ids, keyring: Keyring, now: Instant) -> Secret:
    """Return the token of a link that chooses a password; earlier ones end."""
    token = Secret(ids.hex(SETUP_TOKEN_HEX))
    token_hash = keyring.keyed_hash(token.reveal(), LINK_PURPOSE)
    access.replace_link(tx, operator_id, token_hash, expires_at=after(now, LINK_LIVES), now=now)
    return token


def link_owner(tx: ReadTx, token: str, *, keyring: Keyring, now: Instant) -> Operator:
    """Return whose link this is. Raises NotFound for every link that is not good."""
    operator_id = access.link_owner(tx, keyring.keyed_hash(token, LINK_PURPOSE), now=now)
    operator = people.by_id(tx, operator_id) if operator_id is not None else None
    if operator is None or operator.status != "active":
        raise _no_such_link()
    return operator


def use_link(tx: Tx, token: str, password_hash: str, *, keyring: Keyring, now: Instant) -> Operator:
    """Choose a password by a link; every link and session of the operator ends. Raises NotFound."""
    operator = link_owner(tx, token, keyring=keyring, now=now)
    if not access.use_link(tx, keyring.keyed_hash(token, LINK_PURPOSE), now=now):
        raise _no_such_link()
    access.end_links(tx, operator.id)
    people.set_password(tx, operator.id, password_hash)
    access.end_sessions(tx, operator.id, now=now)
    return operator


def check_password(operator: Operator, password: Secret, repeated: Secret) -> None:
    """Raise Invalid with what is wrong with a new password."""
    faults = passwords.faults_of(password, email=operator.email, name=operator.name)
    if password != repeated:
        faults.append(Fault("repeated", "PASSWORDS_DIFFER", "The two passwords are not the same."))
    if faults:
        raise Invalid(faults)


def change_password(tx: Tx, operator_id: int, password_hash: str, *, session_id: int, now: Instant) -> None:
    """Change a password and end every other session of the operator."""
    people.set_password(tx, operator_id, password_hash)
    access.end_sessions(tx, operator_id, but=session_id, now=now)


def disable(tx: Tx, operator_id: int, *, now: Instant) -> None:
    """Let an operator in no more and end their sessions. Raises Conflict for the last owner."""
    _keep_an_owner(tx, operator_id)
    people.set_status(tx, operator_id, "disabled")
    access.end_sessions(tx, operator_id, now=now)


def enable(tx: Tx, operator_id: int) -> None:
    """Let an operator in again."""
    people.set_status(tx, operator_id, "active")


def set_role(tx: Tx, operator_id: int, role: str, *, merchant_id: int | None, now: Instant) -> None:
    """Give a role at a merchant, or at all of them. Raises Invalid, or Conflict for the last owner."""
    if role not in role_names(tx):
        raise Invalid([Fault("role", "ROLE_UNKNOWN", "Choose a role.")])
    if merchant_id is None and role != OWNER:
        _keep_an_owner(tx, operator_id)
    people.set_grant(tx, operator_id, role, merchant_id=merchant_id, now=now)


def take_role(tx: Tx, operator_id: int, *, merchant_id: int | None) -> None:
    """Take the role at a merchant away. Raises Conflict for the last owner, and where there is none."""
    if merchant_id is None:
        _keep_an_owner(tx, operator_id)
    if not people.remove_grant(tx, operator_id, merchant_id=merchant_id):
        name = found(tx, operator_id).name
        raise Conflict("ROLE_GONE", "%(operator)s has no role there any more.", operator=name)


def save_role(tx: Tx, name: str, permissions: Sequence[str], *, slug: str | None, now: Instant) -> str:
    """Make a role, or change the one of a slug; return its slug. Raises Invalid."""
    name = " ".join(name.split())
    made = slug or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    faults = []
    if not name or len(name) > ROLE_NAME_MAX or not made or made in ROLES:
        faults.append(Fault("name", "ROLE_NAME", "Enter a name of its own, of at most 60 characters."))
    if not permissions or not set(permissions) <= ALL:
        faults.append(Fault("permissions", "PERMISSIONS_NONE", "Choose at least one permission."))
    if faults:
        raise Invalid(faults)
    people.save_role(tx, made, name, permissions, now=now)
    return made


def role_names(tx: ReadTx) -> dict[str, str]:
    """Return every role there is, its name by its slug; the ones that come with OpenTill first."""
    return {slug: slug for slug in ROLES} | {slug: name for slug, name, _ in people.roles(tx)}


def allowed_by(tx: ReadTx, role: str) -> frozenset[str]:
    """Return what a role allows; nothing for one that does not exist."""
    own = {slug: allowed for slug, _, allowed in people.roles(tx)}
    return ROLES.get(role) or own.get(role, frozenset())


def own_roles(tx: ReadTx) -> Sequence[tuple[str, str, frozenset[str]]]:
    """Return the roles made here as slug, name and permissions."""
    return people.roles(tx)


def everybody(tx: ReadTx) -> Sequence[tuple[Operator, tuple[Grant, ...]]]:
    """Return every operator with their roles."""
    return [(operator, people.grants(tx, operator.id)) for operator in people.everybody(tx)]


def found(tx: ReadTx, operator_id: int) -> Operator:
    """Return an operator. Raises NotFound."""
    operator = people.by_id(tx, operator_id)
    if operator is None:
        raise NotFound("OPERATOR_NOT_FOUND", "No such operator.")
    return operator


def roles_of(tx: ReadTx, operator_id: int) -> tuple[Grant, ...]:
    return people.grants(tx, operator_id)


def password_hash(tx: ReadTx, operator_id: int) -> str:
    """Return the hash to compare a password with."""
    return people.password_hash(tx, operator_id)


def sessions(tx: ReadTx, operator_id: int, *, now: Instant) -> Sequence[Row]:
    """Return an operator's open sessions, the one used last first."""
    return access.open_sessions(tx, operator_id, now=now, idle_since=after(now, -IDLE_MAX))


def end_session(tx: Tx, operator_id: int, public_id: str, *, now: Instant) -> None:
    """End one of an operator's sessions. Raises Conflict where it has ended already."""
    if not access.end_sessions(tx, operator_id, public_id=public_id, now=now):
        raise Conflict("SESSION_OVER", "The session has ended already.")


def end_sessions(tx: Tx, operator_id: int, *, but: int = 0, now: Instant) -> int:
    """End an operator's sessions, all but the one with the id *but*; return how many that were."""
    return access.end_sessions(tx, operator_id, but=but, now=now)


def _keep_an_owner(tx: Tx, operator_id: int) -> None:
    if set(people.lock_owners(tx)) == {operator_id}:
        raise Conflict("LAST_OWNER", "At least one active owner must remain. Make somebody else an owner first.")


def _no_such_link() -> NotFound:
    return NotFound("LINK_NOT_FOUND", "This link does not exist, has expired, or was used.")
