"""What a payer's bank fetches: the charge behind a location, signed (pix-rail.md §11.3)."""

import binascii
import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from opentill.kernel.calendar import day_of
from opentill.kernel.clock import Instant, to_datetime
from opentill.sandbox_psp import due_charges, quirks
from opentill.sandbox_psp.charges import asked_of
from opentill.sandbox_psp.frame import Frame, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.store import Row

RSA_BITS: Final = 2_048
CERTIFICATE_LIFETIME: Final = timedelta(days=3_650)
META: Final = "signing"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The bank's key and the certificate payers' banks check it by."""

    key: rsa.RSAPrivateKey
    certificate: bytes  # DER

    @property
    def kid(self) -> str:
        """The name of the key in `/jwks.json`."""
        return hashlib.sha256(self.certificate).hexdigest()[:16]

    @property
    def x5t(self) -> str:
        return _url64(hashlib.sha1(self.certificate, usedforsecurity=False).digest())


def make_signing_key(host: str, now: Instant) -> str:
    """Make a key and its self-signed certificate, as text for the books. Takes about a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
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


def keep_signing_key(frame: Frame, made: str) -> None:
    """Keep a key unless another process was first."""
    frame.store.run(
        "insert into meta (name, value) values (:name, :value) on conflict do nothing", name=META, value=made
    )


def load_signing_key(frame: Frame) -> SigningKey | None:
    """Return the bank's key, or None before the first was made."""
    row = frame.store.one("select value from meta where name = :name", name=META)
    if row is None:
        return None
    kept = json.loads(row["value"])
    key = load_pem_private_key(kept["key"].encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - the only kind that is made
    return SigningKey(key, binascii.unhexlify(kept["certificate"]))


def payload(frame: Frame, signing: SigningKey, request: Request) -> Answer:
    """`GET /qr/v2/{token}`, `GET /qr/v2/cobv/{token}`: the charge as a compact JWS. Paid and removed ones are gone."""
    charge = frame.store.one("select * from charge where place = :place", place=request.parts[-1])
    if charge is None:
        raise Problem("CobPayloadNaoEncontrado")
    if charge["status"] != "ATIVA":
        raise Problem("CobPayloadNaoEncontrado", status=410)
    header = {
        "alg": "RS256",
        "typ": "JWS",
        "kid": signing.kid,
        "x5t": signing.x5t,
        "jku": f"https://{frame.host}/jwks.json",
    }
    document = _due_document(frame, charge, request) if charge["kind"] == "cobv" else _document(frame, charge)
    if "strings_in_jws" in quirks.chosen(frame):
        document = quirks.as_texts(document)
    signed = f"{_url64(render(header).encode())}.{_url64(render(document).encode())}"
    signature = signing.key.sign(signed.encode(), PKCS1v15(), SHA256())
    return Answer(200, f"{signed}.{_url64(signature)}".encode(), "application/jose")


def key_set(signing: SigningKey) -> Answer:
    """`GET /jwks.json`."""
    numbers = signing.key.public_key().public_numbers()
    key = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": signing.kid,
        "x5t": signing.x5t,
        "x5c": [b64encode(signing.certificate).decode()],
        "n": _url64(numbers.n.to_bytes(RSA_BITS // 8)),
        "e": _url64(numbers.e.to_bytes(3)),
    }
    return json_answer(200, {"keys": [key]})


def _document(frame: Frame, charge: Row) -> dict[str, Any]:
    value, kept = asked_of(charge)
    return {
        "calendario": {
            "criacao": shown_at(charge["created_at"]),
            "apresentacao": shown_at(frame.now()),
            "expiracao": charge["expires_in_s"],
        },
        "txid": charge["txid"],
        "revisao": charge["revision"],
        "status": charge["status"],
        "valor": value,
        "chave": charge["key"],
        **kept,
    }


def _due_document(frame: Frame, charge: Row, request: Request) -> dict[str, Any]:
    """Return a charge with a due date for the day its payer means to pay, today unless told."""
    text = request.query.get("DPP", day_of(frame.now()).isoformat())
    try:
        on = date.fromisoformat(text)
    except ValueError:
        raise Problem("CobPayloadOperacaoInvalida") from None
    return due_charges.payload(frame, charge, on)


def _url64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
