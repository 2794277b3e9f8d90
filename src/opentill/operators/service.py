"""Making the first operator.

`opentill setup` prints a link on the server's console. Whoever opens it within an hour chooses e-mail and password
and is the first operator. There is no default password, and once an operator exists there is no such link.
"""

import re
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import HOUR, Instant, after
from opentill.kernel.errors import Conflict, Fault, Invalid, NotFound
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring, Secret
from opentill.operators import audit, passwords
from opentill.operators.model import Change, Operator
from opentill.operators.permissions import OWNER
from opentill.operators.store import people
from opentill.operators.store import setup as store

SETUP_LINK_LIVES: Final = HOUR
SETUP_TOKEN_HEX: Final = 64  # 256 bits
EMAIL_MAX: Final = 254  # characters
NAME_MAX: Final = 150
EMAIL_FORM: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
PURPOSE: Final = "setup_link.token"


def create_setup_link(tx: Tx, *, ids: Ids, keyring: Keyring, now: Instant) -> Secret:
    """Return the token of a new link `/setup/<token>`: good for one hour, once; earlier links end.

    Raises Conflict where an operator exists.
    """
    _only_without_operators(tx)

    token = Secret(ids.hex(SETUP_TOKEN_HEX))
    token_hash = keyring.keyed_hash(token.reveal(), PURPOSE)
    store.replace_setup_links(tx, token_hash, expires_at=after(now, SETUP_LINK_LIVES), now=now)
    audit.write(tx, audit.at_console("setup_link.created", "setup_link"), now=now)
    return token


def check_setup_link(tx: ReadTx, token: str, *, keyring: Keyring, now: Instant) -> None:
    """Raise NotFound unless a link is good; unknown, expired and used ones are told apart by nobody."""
    if not store.setup_link_is_open(tx, keyring.keyed_hash(token, PURPOSE), now=now):
        raise _no_such_link()


def checked(email: str, name: str, password: Secret, repeated: Secret) -> tuple[str, str]:
    """Return e-mail and name as they are stored. Raises Invalid with every fault of the four fields."""
    email, name = email.strip().lower(), " ".join(name.split())
    faults = []
    if len(email) > EMAIL_MAX or not EMAIL_FORM.fullmatch(email):
        faults.append(Fault("email", "EMAIL_INVALID", "Enter an e-mail address, for example ana@example.com."))
    if not name:
        faults.append(Fault("name", "NAME_REQUIRED", "Enter your name."))
    if len(name) > NAME_MAX:
        faults.append(Fault("name", "NAME_TOO_LONG", "Use at most 150 characters."))
    faults += passwords.faults_of(password, email=email, name=name)
    if password != repeated:
        faults.append(Fault("repeated", "PASSWORDS_DIFFER", "The two passwords are not the same."))
    if faults:
        raise Invalid(faults)
    return email, name


def claim_setup_link(
    tx: Tx,
    token: str,
    *,
    email: str,
    name: str,
    password_hash: str,
    origin: str,
    keyring: Keyring,
    now: Instant,
) -> Operator:
    """Use a link up and make the first operator.

    *email* and *name* come from `checked`, *password_hash* from `passwords.hash_password`, which is too slow for a
    transaction. Raises NotFound for a link that is not good, Conflict where an operator exists.
    """
    if not store.use_setup_link(tx, keyring.keyed_hash(token, PURPOSE), now=now):
        raise _no_such_link()
    _only_without_operators(tx)

    operator_id = store.insert_operator(tx, email=email, name=name, password_hash=password_hash, now=now)
    people.set_grant(tx, operator_id, OWNER, merchant_id=None, now=now)
    actor = f"operator:{operator_id}"
    audit.write(tx, Change(actor, origin, "operator.created", actor, {"email": email, "by": "set-up link"}), now=now)
    return Operator(operator_id, email, name, "active", now)


def any_operator(tx: ReadTx) -> bool:
    """Tell whether this OpenTill has been set up."""
    return store.operator_exists(tx)


def _only_without_operators(tx: ReadTx) -> None:
    if store.operator_exists(tx):
        raise Conflict("ALREADY_SET_UP", "This OpenTill has an operator already; set-up links are for the first one.")


def _no_such_link() -> NotFound:
    return NotFound("SETUP_LINK_NOT_FOUND", "This set-up link does not exist, has expired, or was used.")
