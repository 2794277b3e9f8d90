"""Which secrets an endpoint may have, and how one is made (webhooks.md §4.3)."""

import base64
import hashlib
from typing import Final

from opentill.kernel.ids import Ids
from opentill.kernel.secret import Secret
from opentill.webhooks.model import Dialect
from opentill.webhooks.signing import STANDARD_PREFIX, canonical_base64

SECRET_CHARACTERS_MAX: Final = 128
MERCHANT_SECRET_CHARACTERS_MIN: Final = 8
PIX_SECRET_CHARACTERS_MIN: Final = 16
STANDARD_KEY_BYTES_MIN: Final = 16
STANDARD_KEY_BYTES_MAX: Final = 64
GENERATED_KEY_BYTES: Final = 32
GENERATED_PIX_HEX: Final = 32
FINGERPRINT_HEX: Final = 8


def generate(dialect: Dialect, ids: Ids) -> Secret:
    """Return a new secret in the form of the dialect."""
    if dialect is Dialect.PIX:
        return Secret(ids.hex(GENERATED_PIX_HEX))
    return Secret(STANDARD_PREFIX + base64.b64encode(ids.token_bytes(GENERATED_KEY_BYTES)).decode())


def fault_of(text: str, dialect: Dialect) -> str | None:
    """Return why an owner's own secret is refused; None if it is fine."""
    shortest = PIX_SECRET_CHARACTERS_MIN if dialect is Dialect.PIX else MERCHANT_SECRET_CHARACTERS_MIN
    if not shortest <= len(text) <= SECRET_CHARACTERS_MAX:
        return f"secret must be {shortest} to {SECRET_CHARACTERS_MAX} characters"
    if dialect is Dialect.PIX and not all(" " <= character <= "~" for character in text):
        return f"secret must be {shortest} to {SECRET_CHARACTERS_MAX} printable characters"
    if text != text.strip() or not text.isprintable():
        return "secret must not contain control characters or begin or end with a blank"
    if text.startswith(STANDARD_PREFIX):
        key = canonical_base64(text.removeprefix(STANDARD_PREFIX))
        if key is None or not STANDARD_KEY_BYTES_MIN <= len(key) <= STANDARD_KEY_BYTES_MAX:
            return f"a secret that begins with {STANDARD_PREFIX} must go on with base64 of 16 to 64 bytes"
    return None


def fingerprint(secret: Secret) -> str:
    """Return what the audit log shows of a secret: the first eight hex of its SHA-256."""
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:FINGERPRINT_HEX]
