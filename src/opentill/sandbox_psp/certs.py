"""Certificates for a sandbox bank that asks for them: an authority and what it issues (pix-rail.md §11.1)."""

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from opentill.kernel.clock import Instant, to_datetime

LIFETIME: Final = timedelta(days=825)
USES: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,  # the bank itself
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,  # whoever calls the bank
    "notifier": ExtendedKeyUsageOID.CLIENT_AUTH,  # the bank, where it notifies
}


def make_certificates(folder: Path, names: Sequence[str], now: Instant) -> list[Path]:
    """Write `ca.pem`, and for server, client and notifier a certificate and its key. Keys are for their owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _issue("OpenTill sandbox bank CA", ca_key.public_key(), ca_key, None, now)
    written = [_write(folder / "ca.pem", ca.public_bytes(Encoding.PEM))]
    for role, use in USES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        issued = _issue(f"OpenTill sandbox {role}", key.public_key(), ca_key, ca, now, names, use)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        written += [
            _write(folder / f"{role}.pem", issued.public_bytes(Encoding.PEM)),
            _write(folder / f"{role}.key", pem),
        ]
    return written


def _issue(
    common_name: str,
    public_key: ec.EllipticCurvePublicKey,
    signing_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    now: Instant,
    names: Sequence[str] = (),
    use: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    begins = to_datetime(now) - timedelta(minutes=5)
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if names:
        building = building.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    if use is not None:
        building = building.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    return building.sign(signing_key, SHA256())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
