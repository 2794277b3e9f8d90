"""The key a bank signs its payloads with, the certificate payers' banks check it by, and compact JWS."""

import binascii
import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from opentill.kernel.clock import Instant, to_datetime
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import Answer, json_answer, render

RSA_BITS: Final = 2_048
CERTIFICATE_LIFETIME: Final = timedelta(days=3_650)
NUMBER_BYTES: Final = 32  # of each number of a P-256 key or signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Algorithm(StrEnum):
    """What payloads may be signed with (pix-rail.md §2.7)."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The bank's key and the certificate payers' banks check it by."""

    algorithm: Algorithm
    key: PrivateKey
    certificate: bytes  # DER

    @property
    def kid(self) -> str:
        """The name of the key in `/jwks.json`."""
        return hashlib.sha256(self.certificate).hexdigest()[:16]

    @property
    def x5t(self) -> str:
        return _url64(hashlib.sha1(self.certificate, usedforsecurity=False).digest())


def make_signing_key(algorithm: Algorithm, host: str, now: Instant) -> str:
    """Make a key and its self-signed certificate, as text for the books. RSA takes about a tenth of a second."""
    key = _new_key(algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    begins = to_datetime(now)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + CERTIFICATE_LIFETIME)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return render({"key": pem, "certificate": certificate.public_bytes(Encoding.DER).hex()})


def keep_signing_key(frame: Frame, algorithm: Algorithm, made: str) -> None:
    """Keep a key unless another process was first."""
    frame.store.run(
        "insert into meta (name, value) values (:name, :value) on conflict do nothing",
        name=_META[algorithm],
        value=made,
    )


def load_signing_key(frame: Frame, algorithm: Algorithm) -> SigningKey | None:
    """Return the bank's key for an algorithm, or None before the first was made."""
    row = frame.store.one("select value from meta where name = :name", name=_META[algorithm])
    if row is None:
        return None
    kept = json.loads(row["value"])
    key = load_pem_private_key(kept["key"].encode(), password=None)
    assert isinstance(key, PrivateKey)  # noqa: S101 - the only kinds that are made
    return SigningKey(algorithm, key, binascii.unhexlify(kept["certificate"]))


def sign(frame: Frame, signing: SigningKey, document: Mapping[str, Any]) -> bytes:
    """Return a document as a compact JWS whose header says where the key set is."""
    header = {
        "alg": signing.algorithm.value,
        "typ": "JWS",
        "kid": signing.kid,
        "x5t": signing.x5t,
        "jku": f"https://{frame.host}/jwks.json",
    }
    signed = f"{_url64(render(header).encode())}.{_url64(render(document).encode())}"
    return f"{signed}.{_url64(_signature(signing, signed.encode()))}".encode()


def key_set(signing: SigningKey) -> Answer:
    """`GET /jwks.json`."""
    key = {
        **_numbers(signing.key),
        "use": "sig",
        "alg": signing.algorithm.value,
        "kid": signing.kid,
        "x5t": signing.x5t,
        "x5c": [b64encode(signing.certificate).decode()],
    }
    return json_answer(200, {"keys": [key]})


# A key serves one algorithm; the first bank there was signed with RSA.
_META: Final = {Algorithm.RS256: "signing", Algorithm.PS256: "signing PS256", Algorithm.ES256: "signing ES256"}


def _new_key(algorithm: Algorithm) -> PrivateKey:
    if algorithm is Algorithm.ES256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)


def _signature(signing: SigningKey, signed: bytes) -> bytes:
    match signing.key:
        case ec.EllipticCurvePrivateKey() as key:
            r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
            return r.to_bytes(NUMBER_BYTES) + s.to_bytes(NUMBER_BYTES)
        case key:
            probabilistic = PSS(MGF1(SHA256()), SHA256.digest_size)
            padding = probabilistic if signing.algorithm is Algorithm.PS256 else PKCS1v15()
            return key.sign(signed, padding, SHA256())


def _numbers(key: PrivateKey) -> dict[str, str]:
    """Return the members that a key set has for the public half of a key."""
    match key.public_key().public_numbers():
        case ec.EllipticCurvePublicNumbers(x=x, y=y):
            return {"kty": "EC", "crv": "P-256", "x": _number(x, NUMBER_BYTES), "y": _number(y, NUMBER_BYTES)}
        case numbers:
            return {"kty": "RSA", "n": _number(numbers.n, RSA_BITS // 8), "e": _number(numbers.e, 3)}


def _number(value: int, length: int) -> str:
    return _url64(value.to_bytes(length))


def _url64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
