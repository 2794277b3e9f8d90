"""Signatures over the charge behind a dynamic code: what passes, and everything that must not."""

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from opentill.pix.jws import BadSignature, read, verify

HOST = "pix.example.com"
PAYLOAD = b'{"txid":"otk3v9q0x7m2b5n8c1z4l6j0h2g"}'
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
SMALL_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def url64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


RSA_CERTIFICATE, EC_CERTIFICATE = certificate(RSA_KEY), certificate(EC_KEY)


def entry(key: Any, der: bytes | None, **changed: Any) -> dict[str, Any]:
    """Return a key as a key set has it."""
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        shown = {"kty": "RSA", "n": url64(numbers.n.to_bytes(key.key_size // 8)), "e": url64(numbers.e.to_bytes(3))}
    else:
        shown = {"kty": "EC", "crv": "P-256", "x": url64(numbers.x.to_bytes(32)), "y": url64(numbers.y.to_bytes(32))}
    if der is not None:
        shown["x5c"] = [b64encode(der).decode()]
    return {"kid": "k1"} | shown | changed


def signature(algorithm: str, key: Any, signed: bytes) -> bytes:
    match algorithm:
        case "RS256":
            return key.sign(signed, padding.PKCS1v15(), SHA256())
        case "PS256":
            return key.sign(signed, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
        case "ES256":
            r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        case "HS256":
            return hmac.digest(entry(RSA_KEY, None)["n"].encode(), signed, "sha256")
    return b""


def token(algorithm: str = "RS256", key: Any = RSA_KEY, **header: Any) -> str:
    head = {"alg": algorithm, "kid": "k1", "jku": f"https://{HOST}/jwks.json"} | header
    signed = f"{url64(json.dumps(head).encode())}.{url64(PAYLOAD)}"
    return f"{signed}.{url64(signature(algorithm, key, signed.encode()))}"


KEY_SET = {"keys": [entry(RSA_KEY, RSA_CERTIFICATE)]}
EC_KEY_SET = {"keys": [entry(EC_KEY, EC_CERTIFICATE)]}
SHA1 = url64(hashlib.sha1(RSA_CERTIFICATE).digest())
SHA2 = url64(hashlib.sha256(RSA_CERTIFICATE).digest())


def checked(text: str, key_set: dict[str, Any] = KEY_SET) -> bytes:
    return verify(read(text, host=HOST), key_set)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
@pytest.mark.checklist("L7")
def test_a_signature_of_an_rsa_key_passes(algorithm: str) -> None:
    assert checked(token(algorithm)) == PAYLOAD


@pytest.mark.checklist("L7")
def test_a_signature_of_an_elliptic_curve_passes() -> None:
    assert checked(token("ES256", EC_KEY), EC_KEY_SET) == PAYLOAD


@pytest.mark.parametrize("header", [{"x5t": SHA1}, {"x5t#S256": SHA2}, {"x5t": SHA1, "x5t#S256": SHA2}])
def test_the_named_certificate_must_be_the_keys(header: dict[str, str]) -> None:
    assert checked(token(**header)) == PAYLOAD


@pytest.mark.parametrize(
    "text",
    [
        token("none"),
        token("HS256"),
        token("RS512"),
        token(alg=None),
        token(jku="https://evil.example.com/jwks.json"),
        token(jku=f"http://{HOST}/jwks.json"),
        token(jku=f"https://{HOST}.evil.example.com/jwks.json"),
        token(jku=f"https://{HOST}@evil.example.com/jwks.json"),
        token(jku=None),
        token(kid="k2"),
        token(kid=None),
        token(x5t=url64(hashlib.sha1(EC_CERTIFICATE).digest())),
        token(x5t="*"),
        token(**{"x5t#S256": url64(b"x" * 32)}),
        token(crit=["exp"]),
        token().replace(url64(PAYLOAD), url64(PAYLOAD.replace(b"k3", b"k4"))),
        token()[:-6],
        token("ES256", EC_KEY),
        token("RS256", SMALL_KEY),
        "a.b",
        "a.b.c.d",
        "",
        f"{url64(b'[]')}.{url64(PAYLOAD)}.x",
        f"{url64(b'nonsense')}.{url64(PAYLOAD)}.x",
    ],
)
@pytest.mark.checklist("L7")
def test_a_token_nobody_should_act_on_is_refused(text: str) -> None:
    with pytest.raises(BadSignature):
        checked(text)


@pytest.mark.parametrize(
    "key_set",
    [
        {},
        {"keys": {}},
        {"keys": []},
        {"keys": [entry(RSA_KEY, None), entry(RSA_KEY, None)]},
        {"keys": [entry(RSA_KEY, None, n="")]},
        {"keys": [entry(RSA_KEY, None, kty="oct")]},
        {"keys": [entry(SMALL_KEY, None)]},
        {"keys": [entry(EC_KEY, None, crv="P-384")]},
    ],
)
def test_a_key_set_without_one_good_key_of_the_name_is_refused(key_set: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        checked(token(), key_set)


@pytest.mark.parametrize("der", [None, EC_CERTIFICATE])
def test_a_certificate_that_is_missing_or_another_keys_is_refused(der: bytes | None) -> None:
    fitting = hashlib.sha1(EC_CERTIFICATE).digest()
    with pytest.raises(BadSignature):
        checked(token(x5t=url64(fitting)), {"keys": [entry(RSA_KEY, der)]})
