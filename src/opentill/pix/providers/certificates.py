"""Our certificates at banks, read from an account's sealed credentials and never from a file (pix-rail.md §6.2)."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from opentill.kernel.clock import DAY, Instant, from_datetime
from opentill.kernel.errors import Refused
from opentill.kernel.secret import Secret
from opentill.outbound.tls import TlsProfile
from opentill.pix.providers.rounds import rounds

WARN_DAYS: Final = (60, 30, 7)
ROUNDS_MAX: Final = 1_000_000  # of a PKCS#12 file: some tenths of a second in which nothing else runs


def tls_profile(known: Mapping[str, str]) -> TlsProfile | None:
    """Return how we present ourselves: PEM in `certificate` and `key`, or base64 PKCS#12 in `p12`; None for neither.

    `roots` replaces the system's roots. Raises `Refused` `BAD_CERTIFICATE` where they cannot be read.
    """
    certificate, key = known.get("certificate"), known.get("key")
    if "p12" in known:
        certificate, key = pem_of_p12(_decoded(known["p12"]), known.get("p12_password", ""))
    if certificate is None and "roots" not in known:
        return None
    return TlsProfile(known.get("roots"), certificate, Secret(key) if key else None)


def expires_at(profile: TlsProfile | None) -> Instant | None:
    """Return when the first of our certificates runs out, None where there is none."""
    if profile is None or profile.certificate is None:
        return None
    try:
        chain = x509.load_pem_x509_certificates(profile.certificate.encode())
    except ValueError:
        raise _unreadable() from None
    return min(from_datetime(certificate.not_valid_after_utc) for certificate in chain)


def days_left(until: Instant, now: Instant) -> int:
    """Return whole days until an instant, below zero once it is past."""
    return (until - now) // DAY


def warning_day(days: int) -> int | None:
    """Return the warning that holds when so many days are left: 7, 30, 60, or None while there is time."""
    return next((limit for limit in sorted(WARN_DAYS) if days <= limit), None)


def pem_of_p12(file: bytes, password: str) -> tuple[str, str]:
    """Return the chain and the key of a PKCS#12 file as PEM. They are only ever in memory.

    Raises `Refused` `BAD_CERTIFICATE` for what cannot be opened, takes too long to, or lacks either.
    """
    if rounds(file) > ROUNDS_MAX:
        raise Refused(
            "BAD_CERTIFICATE",
            "The PKCS#12 file takes too long to open: it asks for more than %(most)s rounds with its password. "
            "Pack it again with fewer, or enter the certificate and its key as PEM.",
            most=ROUNDS_MAX,
        )
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(file, password.encode() or None)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(
            "BAD_CERTIFICATE",
            "The PKCS#12 file cannot be opened: its password is wrong, or it is another kind of file.",
        ) from None
    if key is None or certificate is None:
        raise Refused("BAD_CERTIFICATE", "The PKCS#12 file must hold the certificate and its key.")
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *others))
    return chain.decode(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (ValueError, NotBase64):
        raise _unreadable() from None


def _unreadable() -> Refused:
    return Refused("BAD_CERTIFICATE", "The certificate, its key or their password cannot be read.")
