"""Ed25519 keys: making them, their text forms, and what a JWKS says of them (webhooks.md §6.4).

One pair per merchant and mode, not one per installation: a receiver could otherwise pass another merchant's signed
events on as genuine.
"""

import hashlib
import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.webhooks.model import SigningKey

SEED_BYTES: Final = 32
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
KEYS_KEPT: Final = 1024
WELL_KNOWN: Final = "/.well-known/webhooks"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is not stored yet, its seed sealed."""

    kid: str
    sealed: str
    public_key: str


def new_key(ids: Ids, keyring: Keyring, owner: Owner) -> NewKey:
    """Make a key pair for an owner."""
    seed = ids.token_bytes(SEED_BYTES)
    public = public_of(seed)
    kid = thumbprint(public)
    return NewKey(kid, keyring.seal(seed, context(owner, kid)), PUBLIC_PREFIX + b64encode(public).decode())


def open_seed(key: SigningKey, keyring: Keyring) -> Secret:
    """Return the base64 of a key's seed. Raises `SealedError`."""
    return Secret(b64encode(keyring.open(key.sealed, context(key.owner, key.kid))).decode())


def sign(seed: Secret, message: bytes) -> bytes:
    """Return the 64 bytes of an Ed25519 signature."""
    return _opened(seed).sign(message)


def public_of(seed: bytes) -> bytes:
    return _private(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def thumbprint(public: bytes) -> str:
    """Return the key id: the RFC 7638 thumbprint of the public key."""
    required = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": _url_text(public)}, separators=(",", ":"))
    return _url_text(hashlib.sha256(required.encode()).digest())


def exported(seed: bytes) -> Secret:
    """Return the text form of a private key: seed and public key."""
    return Secret(PRIVATE_PREFIX + b64encode(seed + public_of(seed)).decode())


def jwks(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, Any]]]:
    """Return the set receivers fetch. It holds public parts only."""
    return {"keys": [_jwk(key) for key in keys]}


def jwks_path(merchant: str | None) -> str:
    """Return the path at which receivers fetch the set of a merchant, by its public id; None: of the only merchant."""
    return f"{WELL_KNOWN}/{merchant}/jwks.json" if merchant else f"{WELL_KNOWN}/jwks.json"


def context(owner: Owner, kid: str) -> str:
    """Return what a sealed seed is bound to."""
    return f"webhook_signing_key.sealed/{owner.merchant_id}/{int(owner.mode)}/{kid}"


def _jwk(key: SigningKey) -> dict[str, Any]:
    public = b64decode(key.public_key.removeprefix(PUBLIC_PREFIX))
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": _url_text(public)}


@lru_cache(KEYS_KEPT)
def _opened(seed: Secret) -> Ed25519PrivateKey:
    return _private(b64decode(seed.reveal()))


def _private(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def _url_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
