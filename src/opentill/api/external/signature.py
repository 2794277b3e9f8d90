"""The `hmac` header: HMAC-SHA512 of the body under the client secret (pix-api.md §4)."""

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.number import Number
from opentill.web.json_body import canonical

DIGEST: Final = re.compile(r"[0-9a-fA-F]{128}", re.ASCII)
WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)


def verifies(header: str, body: bytes, fields: Mapping[str, Any], secret: str) -> bool:
    """Tell whether a header is the digest of the body as it was sent, or of its canonical form."""
    text = header.strip()
    if DIGEST.fullmatch(text) is None:
        return False
    given = bytes.fromhex(text)
    if hmac.compare_digest(given, _digest(secret, body)):
        return True
    if not body or not _has_canonical_form(fields):
        return False
    return hmac.compare_digest(given, _digest(secret, canonical(fields)))


def _digest(secret: str, message: bytes) -> bytes:
    return hmac.digest(secret.encode(), message, "sha512")


def _has_canonical_form(value: Any) -> bool:
    """Tell whether every number is whole: writers do not agree on how fractions and exponents are written."""
    if isinstance(value, Number):
        return WHOLE.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return all(map(_has_canonical_form, value.values()))
    if isinstance(value, list):
        return all(map(_has_canonical_form, value))
    return True
