"""Whether a notification comes from the bank: its certificate and its address, as far as the profile names them (§6.7).

The token in the address is compared before the account is known at all.
"""

from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from opentill.kernel.clock import Instant, to_datetime
from opentill.pix.port import RawRequest, UntrustedNotification
from opentill.pix.providers.bacen.profile import Credentials, WebhookAuth


def require_authentic(request: RawRequest, auth: WebhookAuth, credentials: Credentials, now: Instant) -> None:
    """Raise `UntrustedNotification` unless all that the profile names holds."""
    if auth.client_certificate and not credentials.hook_unchecked:
        if request.certificate is None or credentials.hook_roots is None:
            raise UntrustedNotification("no certificate of the bank came with it")
        if not issued_by(request.certificate, credentials.hook_roots, to_datetime(now)):
            raise UntrustedNotification("its certificate is not the bank's")
    if auth.sources and not _inside(request.address, auth.sources):
        raise UntrustedNotification("it comes from an address the bank does not use")


@lru_cache(maxsize=64)
def roots_of(bundle: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a bundle. Raises `ValueError` where it holds none, or one that issues nothing."""
    found = tuple(x509.load_pem_x509_certificates(bundle.encode()))
    if not all(map(_issues, found)):
        raise ValueError("a certificate of the bundle may not issue others")
    return found


def issued_by(certificate: bytes, bundle: str, at: datetime) -> bool:
    """Tell whether one of the bundle issued a certificate for a client, and both hold now.

    The bundle is the bank's own chain, so each of its certificates is trusted by itself.
    """
    try:
        leaf = _read(certificate)
        roots = roots_of(bundle)
    except ValueError:
        return False
    if not _holds(leaf, at) or not _for_clients(leaf):
        return False
    return any(_holds(root, at) and _signed(leaf, root) for root in roots)


def _read(certificate: bytes) -> x509.Certificate:
    if certificate.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(certificate)
    return x509.load_der_x509_certificate(certificate)


def _holds(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _for_clients(leaf: x509.Certificate) -> bool:
    """Tell whether a certificate may stand for a client; one that says nothing about its use may."""
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def _issues(root: x509.Certificate) -> bool:
    try:
        return root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signed(leaf: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _inside(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        caller = ip_address(address or "")
    except ValueError:
        return False
    return any(caller in ip_network(network, strict=False) for network in networks)
