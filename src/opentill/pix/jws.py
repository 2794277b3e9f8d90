"""Signatures over the charge behind a dynamic code: compact JWS, checked with its bank's key set (pix-rail.md §2.7)."""

import hashlib
import hmac
import json
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RSA_BITS_MIN: Final = 2_048

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class BadSignature(ValueError):  # noqa: N818 - it says what the token has
    """A token nobody should act on. The message says why, without its content."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a token says of its signature. Nothing of it is believed before the signature was checked."""

    algorithm: str
    key_id: str
    key_set_url: str
    sha1: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A compact JWS, taken apart. The payload is bytes until `verify` returns it."""

    header: Header
    signed: bytes
    payload: bytes
    signature: bytes


def read(text: str, *, host: str) -> Token:
    """Take a token apart that came from *host*: its key set must lie there too. Raises `BadSignature`."""
    parts = text.strip().split(".")
    if len(parts) != 3:
        raise BadSignature("not a compact JWS")
    head, payload, signature = parts
    return Token(_header(head, host), f"{head}.{payload}".encode(), _decoded(payload), _decoded(signature))


def verify(token: Token, key_set: Mapping[str, Any]) -> bytes:
    """Return the payload of a token that one of the set's keys has signed. Raises `BadSignature`."""
    entry = _entry(key_set, token.header.key_id)
    key = _public_key(entry)
    _verify_certificate(token.header, entry, key)
    try:
        _VERIFIERS[token.header.algorithm](key, token.signature, token.signed)
    except InvalidSignature:
        raise BadSignature("the signature does not fit") from None
    return token.payload


def _header(head: str, host: str) -> Header:
    try:
        found = json.loads(_decoded(head))
    except ValueError:
        raise BadSignature("the header is not JSON") from None
    if not isinstance(found, dict):
        raise BadSignature("the header is not an object")
    algorithm, key_id, url = (found.get(name) for name in ("alg", "kid", "jku"))
    if not isinstance(algorithm, str) or algorithm not in _VERIFIERS:
        raise BadSignature("the algorithm is none we trust")
    if "crit" in found:
        raise BadSignature("the header demands what we do not know")
    if not isinstance(key_id, str) or not isinstance(url, str):
        raise BadSignature("the header names no key")
    place = urlsplit(url)
    if place.scheme != "https" or place.netloc.lower() != host.lower():
        raise BadSignature("the key set is not at the host of the code")
    return Header(algorithm, key_id, url, _text(found.get("x5t")), _text(found.get("x5t#S256")))


def _entry(key_set: Mapping[str, Any], key_id: str) -> Mapping[str, Any]:
    keys = key_set.get("keys")
    found = (
        [key for key in keys if isinstance(key, dict) and key.get("kid") == key_id] if isinstance(keys, list) else []
    )
    if len(found) != 1:
        raise BadSignature("the key set does not have this key")
    entry: Mapping[str, Any] = found[0]
    return entry


def _public_key(entry: Mapping[str, Any]) -> PublicKey:
    try:
        if entry.get("kty") == "RSA":
            key = rsa.RSAPublicNumbers(_number(entry["e"]), _number(entry["n"])).public_key()
            if key.key_size >= RSA_BITS_MIN:
                return key
        elif entry.get("kty") == "EC" and entry.get("crv") == "P-256":
            return ec.EllipticCurvePublicNumbers(_number(entry["x"]), _number(entry["y"]), ec.SECP256R1()).public_key()
    except (KeyError, ValueError, TypeError):
        pass
    raise BadSignature("the key is unreadable or too weak")


def _verify_certificate(header: Header, entry: Mapping[str, Any], key: PublicKey) -> None:
    """Where the header names a certificate, the set must hold it, and it must be the key's."""
    if header.sha1 is None and header.sha256 is None:
        return
    try:
        certificate = b64decode(entry["x5c"][0], validate=True)
        certified = x509.load_der_x509_certificate(certificate).public_key()
    except (KeyError, IndexError, TypeError, ValueError):
        raise BadSignature("the key has no certificate") from None
    sha1 = hashlib.sha1(certificate, usedforsecurity=False).digest()
    for given, computed in ((header.sha1, sha1), (header.sha256, hashlib.sha256(certificate).digest())):
        if given is not None and not hmac.compare_digest(_decoded(given), computed):
            raise BadSignature("the certificate is another")
    if certified.public_bytes(*_SPKI) != key.public_bytes(*_SPKI):
        raise BadSignature("the certificate is another key's")


def _rsa_pkcs1(key: PublicKey, signature: bytes, signed: bytes) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadSignature("the key does not fit the algorithm")
    key.verify(signature, signed, padding.PKCS1v15(), SHA256())


def _rsa_pss(key: PublicKey, signature: bytes, signed: bytes) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadSignature("the key does not fit the algorithm")
    key.verify(signature, signed, padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size), SHA256())


def _ecdsa(key: PublicKey, signature: bytes, signed: bytes) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey) or len(signature) != 64:
        raise BadSignature("the key does not fit the algorithm")
    both = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    key.verify(both, signed, ec.ECDSA(SHA256()))


# Only these: never `none`, and no HS…, whose "secret" would be the public key.
_VERIFIERS: Final[dict[object, Callable[[PublicKey, bytes, bytes], None]]] = {
    "RS256": _rsa_pkcs1,
    "PS256": _rsa_pss,
    "ES256": _ecdsa,
}
_SPKI: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (NotBase64, ValueError):
        raise BadSignature("not base64url") from None


def _number(text: object) -> int:
    if not isinstance(text, str):
        raise TypeError("a number of a key is text")
    return int.from_bytes(_decoded(text))


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadSignature("the certificate's name is no text")
    return value
