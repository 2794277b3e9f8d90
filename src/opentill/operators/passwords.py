"""Passwords: what we ask of them, and how they are kept.

Length is what makes a password hard to guess; signs and digits on demand make it hard to remember. So there are
four rules, each said in a sentence before the first try. Hashing takes tens of milliseconds and 19 MiB on purpose:
call it on a thread of its own, never inside a transaction.
"""

import unicodedata
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from opentill.kernel.errors import Fault
from opentill.kernel.secret import Secret

LENGTH_MIN: Final = 12  # characters
LENGTH_MAX: Final = 256
DIFFERENT_MIN: Final = 5  # different characters

MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
HASH_BYTES: Final = 32
SALT_BYTES: Final = 16

_HASHER: Final = PasswordHasher(
    time_cost=PASSES,
    memory_cost=MEMORY_KIB,
    parallelism=1,
    hash_len=HASH_BYTES,
    salt_len=SALT_BYTES,
    type=Type.ID,
)


def faults_of(password: Secret, *, email: str, name: str) -> list[Fault]:
    """Return what is wrong with a new password, at most one fault. Empty: it will do."""
    text = _plain(password)
    if len(text) < LENGTH_MIN:
        return [Fault("password", "PASSWORD_TOO_SHORT", "Use at least 12 characters.")]
    if len(text) > LENGTH_MAX:
        return [Fault("password", "PASSWORD_TOO_LONG", "Use at most 256 characters.")]
    if len(set(text)) < DIFFERENT_MIN:
        return [Fault("password", "PASSWORD_TOO_SIMPLE", "Use at least 5 different characters.")]
    if any(word in text.lower() for word in _words_of(email, name)):
        return [Fault("password", "PASSWORD_NAMES_YOU", "Leave your name, your e-mail and “OpenTill” out of it.")]
    return []


def hash_password(password: Secret) -> str:
    """Return the Argon2id hash with its parameters and salt in it. Slow on purpose."""
    return _HASHER.hash(_plain(password))


def matches(stored_hash: str, offered: Secret) -> bool:
    """Tell whether a password is the one behind a stored hash. Slow on purpose, right or wrong."""
    try:
        return _HASHER.verify(stored_hash, _plain(offered))
    except (VerificationError, InvalidHashError):
        return False


def _plain(password: Secret) -> str:
    """Return the text in one Unicode form, so that two keyboards that type the same letters agree."""
    return unicodedata.normalize("NFKC", password.reveal())


def _words_of(email: str, name: str) -> set[str]:
    """Return the words a guesser would try first; too short ones would forbid by accident."""
    words = {email.lower(), email.lower().partition("@")[0], *name.lower().split(), "opentill"}
    return {word for word in words if len(word) >= 4}
