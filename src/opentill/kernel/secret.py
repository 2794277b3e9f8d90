"""Secrets: what cannot be printed, how it is stored, and the master key behind it.

A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`: AES-256-GCM with the *context* (table,
column and row) as associated data, so that a sealed value moved to another row does not open.
"""

import binascii
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from opentill.kernel.ids import random_bytes

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
VERSION: Final = "v1"


class Secret:
    """A text that does not appear in logs, errors or dumps. `reveal()` is the only way out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def matches(self, other: str) -> bool:
        """Compare in constant time."""
        return same(self._text, other)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._text)

    def __hash__(self) -> int:
        return hash(self._text)


class SealedError(Exception):
    """A sealed text does not open: wrong key, wrong row, or damaged."""


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """What the key file holds: keys by id, which of them seals, and the pepper of look-up hashes.

    Hashes made for look-ups cannot be made again without their plain text, so they use a key of their own, the
    pepper, which rotation leaves alone.
    """

    keys: Mapping[str, bytes]
    current: str
    pepper: bytes


class Keyring:
    """The master keys at work: the current one seals, every one of them opens.

    A text sealed under a key that is not known yet makes the keyring *reload*: keys may be rotated by another
    process while this one runs.
    """

    def __init__(self, keys: MasterKeys, *, reload: Callable[[], MasterKeys] | None = None) -> None:
        self._reload = reload
        self._take(keys)

    def _take(self, keys: MasterKeys) -> None:
        if any(len(key) != KEY_BYTES for key in (*keys.keys.values(), keys.pepper)):
            raise ValueError("a master key has 32 bytes")
        self._ciphers = {key_id: AESGCM(_derive(key, b"opentill seal")) for key_id, key in keys.keys.items()}
        self._pepper = _derive(keys.pepper, b"opentill lookup")
        self._installation_key = keys.pepper
        self.current = keys.current

    def seal(self, data: bytes | Secret, context: str) -> str:
        """Encrypt under the current key; only the same *context* opens it."""
        plain = data.reveal().encode() if isinstance(data, Secret) else data
        nonce = random_bytes(NONCE_BYTES)
        body = nonce + self._ciphers[self.current].encrypt(nonce, plain, context.encode())
        return f"{VERSION}.{self.current}.{urlsafe_b64encode(body).decode()}"

    def open(self, sealed: str, context: str) -> bytes:
        """Decrypt. Raises `SealedError`."""
        try:
            version, key_id, encoded = sealed.split(".")
            body = urlsafe_b64decode(encoded)
            if version != VERSION:
                raise SealedError(f"unknown seal version {version}")
            cipher = self._cipher(key_id)
            return cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError, binascii.Error):
            raise SealedError(f"the sealed value of {context} does not open") from None

    def open_secret(self, sealed: str, context: str) -> Secret:
        """Decrypt a text as a `Secret`. Raises `SealedError`."""
        return Secret(self.open(sealed, context).decode())

    def _cipher(self, key_id: str) -> AESGCM:
        if key_id not in self._ciphers and self._reload is not None:
            self._take(self._reload())
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise SealedError(f"no master key {key_id} on this machine") from None

    def keyed_hash(self, text: str, purpose: str) -> str:
        """Return 64 hex that stand for *text* in a look-up; useless without the master key."""
        return hmac.digest(self._pepper, f"{purpose}\0{text}".encode(), "sha256").hex()

    def derived(self, purpose: str) -> bytes:
        """Return the installation's own key for a purpose. Rotating the master key leaves it as it is."""
        return _derive(self._installation_key, purpose.encode())


def new_keys() -> MasterKeys:
    """Return fresh keys, from the system's source of randomness."""
    return MasterKeys({"k1": os.urandom(KEY_BYTES)}, current="k1", pepper=os.urandom(KEY_BYTES))


def with_new_key(keys: MasterKeys) -> MasterKeys:
    """Return the keys with one more, which seals from now on."""
    newest = f"k{len(keys.keys) + 1}"
    return MasterKeys({**keys.keys, newest: os.urandom(KEY_BYTES)}, current=newest, pepper=keys.pepper)


def same(one: str, other: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)
