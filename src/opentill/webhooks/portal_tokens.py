"""The text of a portal link: claims, and the installation's signature over them (webhooks.md §12).

`pl1.<claims>.<HMAC-SHA256>`, both in base64url without padding; the claims are compact JSON with sorted keys.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.secret import Keyring, Secret

VERSION: Final = "pl1"
PURPOSE: Final = "opentill/webhooks/portal/1"
CHARACTERS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """Who may see what, until when (Unix seconds); *jti* names the row that can revoke it."""

    endpoints: tuple[str, ...]
    exp: int
    jti: str
    merchant: str  # the account number
    mode: str
    rights: tuple[str, ...]


def write(claims: Claims, keyring: Keyring) -> Secret:
    """Return the token of a link. Who has it may do what it says."""
    facts = {name: getattr(claims, name) for name in Claims.__dataclass_fields__}
    signed = f"{VERSION}.{_encoded(json.dumps(facts, sort_keys=True, separators=(',', ':')).encode())}"
    return Secret(f"{signed}.{_encoded(_signature(signed, keyring))}")


def read(token: str, keyring: Keyring) -> Claims | None:
    """Return the claims of a token we signed; None for anything else. Whether they still hold is not looked at."""
    if len(token) > CHARACTERS_MAX or not token.isascii():
        return None
    signed, _, signature = token.rpartition(".")
    version, _, encoded = signed.partition(".")
    if version != VERSION or not hmac.compare_digest(_encoded(_signature(signed, keyring)), signature):
        return None
    facts = _decoded(encoded)
    return None if facts is None else Claims(**{**facts, **{n: tuple(facts[n]) for n in ("endpoints", "rights")}})


def _signature(signed: str, keyring: Keyring) -> bytes:
    return hmac.new(keyring.derived(PURPOSE), signed.encode(), hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> dict[str, Any] | None:
    try:
        facts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return None
    return facts if isinstance(facts, dict) and facts.keys() == set(Claims.__dataclass_fields__) else None
