"""The second factor: codes that change every 30 seconds (RFC 6238), and recovery codes for when the phone is gone.

Each code works once. The seed is sealed; recovery codes are known only as hashes.
"""

import base64
import re
from collections.abc import Sequence
from typing import Final

import pyotp

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.errors import Conflict, Fault, Invalid
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring, Secret, same
from opentill.operators.model import Operator
from opentill.operators.store import access

SEED_BYTES: Final = 20
STEP_S: Final = 30
TOLERANCE: Final = 1  # steps that a clock may be off, either way
RECOVERY_CODES: Final = 10
RECOVERY_CHARACTERS: Final = 16
RECOVERY_PURPOSE: Final = "operator.recovery_code"
ISSUER: Final = "OpenTill"
SPACES: Final = re.compile(r"[\s-]+")


def new_seed(ids: Ids) -> Secret:
    """Return a fresh seed in base 32, as authenticator apps take it."""
    return Secret(base64.b32encode(ids.token_bytes(SEED_BYTES)).decode())


def address(seed: Secret, operator: Operator) -> str:
    """Return what the QR code of a set-up holds."""
    return pyotp.TOTP(seed.reveal()).provisioning_uri(name=operator.email, issuer_name=ISSUER)


def turn_on(
    tx: Tx, operator: Operator, seed: Secret, code: str, *, ids: Ids, keyring: Keyring, now: Instant
) -> Sequence[str]:
    """Ask for codes from now on; return the recovery codes, which are shown once.

    *code* proves that the app has the seed, and is used up. Raises Invalid for a wrong one, Conflict where a second
    factor is on already.
    """
    if access.sealed_totp(tx, operator.id) is not None:
        raise Conflict("FACTOR_ON", "The second factor is on already. Turn it off first.")
    step = _step(seed, _plain(code), now)
    if step is None:
        raise Invalid([Fault("code", "CODE_WRONG", "This code does not fit. Check that the phone's clock is right.")])
    access.set_totp(tx, operator.id, keyring.seal(seed, _context(operator.id)), step=step)
    return new_recovery_codes(tx, operator, ids=ids, keyring=keyring, now=now)


def new_recovery_codes(tx: Tx, operator: Operator, *, ids: Ids, keyring: Keyring, now: Instant) -> Sequence[str]:
    """Replace an operator's recovery codes; return the new ones, which are shown once."""
    codes = [ids.alnum(RECOVERY_CHARACTERS) for _ in range(RECOVERY_CODES)]
    access.replace_recovery_codes(tx, operator.id, [_hash(code, keyring) for code in codes], now=now)
    return [f"{code[:4]}-{code[4:8]}-{code[8:12]}-{code[12:]}" for code in codes]


def turn_off(tx: Tx, operator_id: int, *, now: Instant) -> None:
    """Ask for no codes any more, and forget the recovery codes."""
    access.set_totp(tx, operator_id, None, step=0)
    access.replace_recovery_codes(tx, operator_id, [], now=now)


def is_on(tx: ReadTx, operator_id: int) -> bool:
    return access.sealed_totp(tx, operator_id) is not None


def recovery_codes_left(tx: ReadTx, operator_id: int) -> int:
    return access.recovery_codes_left(tx, operator_id)


def prove(tx: Tx, operator_id: int, code: str, *, keyring: Keyring, now: Instant) -> bool:
    """Use up a code of the app or a recovery code; False where it is neither, or was used. True without a factor."""
    sealed = access.sealed_totp(tx, operator_id)
    if sealed is None:
        return True
    plain = _plain(code)
    step = _step(keyring.open_secret(sealed, _context(operator_id)), plain, now)
    if step is not None:
        return access.use_step(tx, operator_id, step)
    return access.use_recovery_code(tx, operator_id, _hash(plain, keyring), now=now)


def _step(seed: Secret, code: str, now: Instant) -> int | None:
    """Return the step whose code this is. Every step in reach is compared, whichever fits."""
    clock, found = pyotp.TOTP(seed.reveal(), interval=STEP_S), None
    current = now // (STEP_S * SECOND)
    for step in range(current - TOLERANCE, current + TOLERANCE + 1):
        if same(clock.at(step * STEP_S), code):
            found = step
    return found


def _plain(code: str) -> str:
    return SPACES.sub("", code).lower()


def _hash(code: str, keyring: Keyring) -> str:
    return keyring.keyed_hash(_plain(code), RECOVERY_PURPOSE)


def _context(operator_id: int) -> str:
    return f"operator.sealed_totp/{operator_id}"
