"""Letters to operators about getting in: the link for a forgotten password, and a second factor that was taken away.

Whoever says an operator's address has a link sent to it, and learns nothing. The link chooses a password once, within
half an hour; the second factor stays, and every session ends.
"""

from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import MINUTE, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.mail import Letter, post
from opentill.mail.model import Kind
from opentill.operators.people import LINK_PURPOSE
from opentill.operators.service import SETUP_TOKEN_HEX
from opentill.operators.sign_in import AGENT_MAX, Caller
from opentill.operators.store import access, people

RESET_LIVES: Final = 30 * MINUTE
LETTER_EVERY: Final = 15 * MINUTE  # by the clock: one letter to an operator in each, however often it is asked for
ASKED: Final = "reset asked"


def ask(tx: Tx, email: str, caller: Caller, *, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Send the link to the active operator of an address; for every other address note only that it was asked."""
    found = people.with_hash(tx, email.strip().lower())
    operator = found[0] if found else None
    access.insert_attempt(
        tx,
        operator_id=operator.id if operator else None,
        origin=caller.origin,
        agent=caller.agent[:AGENT_MAX],
        outcome=ASKED,
        now=now,
    )
    if operator is None:
        return
    token, until_at = ids.hex(SETUP_TOKEN_HEX), after(now, RESET_LIVES)
    letter = Letter(
        Kind.PASSWORD_RESET,
        operator.email,
        f"reset/{operator.id}/{now // LETTER_EVERY}",
        {"page": f"/admin/password/{token}", "until": until_at},
        language=people.language(tx, operator.id) or caller.language,
        until_at=until_at,
    )
    if post(tx, letter, ids=ids, keyring=keyring, now=now):
        access.insert_link(tx, operator.id, keyring.keyed_hash(token, LINK_PURPOSE), expires_at=until_at, now=now)


def tell_factor_reset(tx: Tx, operator_id: int, *, by: str, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Write to an operator whose second factor somebody else took away."""
    operator = people.by_id(tx, operator_id)
    if operator is not None:
        letter = Letter(
            Kind.FACTOR_RESET,
            operator.email,
            f"factor/{operator_id}/{now}",
            {"by": by, "at": now},
            language=people.language(tx, operator_id),
        )
        post(tx, letter, ids=ids, keyring=keyring, now=now)
