"""A certificate authority for tests, and servers with everything that can be wrong about TLS."""

import ssl
import warnings
from datetime import UTC, datetime

import trustme

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOT_SO_LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)


class Authority:
    """Issues certificates that a client trusts when it is given `roots`."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.roots = self._ca.cert_pem.bytes().decode()

    def server(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server whose certificate is valid for these names."""
        return _context(self._ca.issue_cert(*names))

    def server_wanting_certificates(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server that lets nobody in without a certificate of this authority."""
        context = self.server(*names)
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def expired(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server whose certificate is out of date."""
        return _context(self._ca.issue_cert(*names, not_before=LONG_AGO, not_after=NOT_SO_LONG_AGO))

    def self_signed(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server whose certificate comes from nobody the client trusts."""
        return _context(trustme.CA().issue_cert(*names))

    def tls_1_1(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server that speaks nothing newer than TLS 1.1."""
        context = self.server(*names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def client_certificate(self, name: str) -> tuple[str, str]:
        """Return a client's certificate chain and its key, both PEM."""
        issued = self._ca.issue_cert(name)
        chain = "".join(blob.bytes().decode() for blob in issued.cert_chain_pems)
        return chain, issued.private_key_pem.bytes().decode()


def _context(issued: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context
