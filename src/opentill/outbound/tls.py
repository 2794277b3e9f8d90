"""TLS for outgoing calls: version 1.2 or newer, names and chains always verified (webhooks.md §7.3).

A profile may bring its own roots, or a client certificate. Verification has no switch.
"""

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.secret import Secret

HANDSHAKE_ALPN: Final = ["http/1.1"]
CONTEXTS_KEPT_MAX: Final = 256


class BadProfile(ValueError):  # noqa: N818 - named for what it says about the profile
    """A certificate, key or bundle that cannot be used. The message says which, without its content."""


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What an endpoint or a bank asks of our side of the handshake. All texts are PEM."""

    roots: str | None = None  # replaces the system's roots
    certificate: str | None = None  # ours, with its chain
    key: Secret | None = None


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the handshake settled, for the attempt log."""

    version: str
    cipher: str
    subject: str
    issuer: str
    expires_at: Instant | None


def context_for(profile: TlsProfile) -> ssl.SSLContext:
    """Return the context of a profile. Blocks for some milliseconds. Raises `BadProfile`."""
    try:
        context = ssl.create_default_context(cadata=profile.roots)
    except ssl.SSLError:
        raise BadProfile("the CA bundle is not PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(HANDSHAKE_ALPN)

    if profile.certificate is not None:
        _present(context, profile.certificate, profile.key)
    return context


def _present(context: ssl.SSLContext, certificate: str, key: Secret | None) -> None:
    """Load our certificate. The library wants a file; this one is in memory and has no name."""
    pem = certificate if key is None else f"{certificate.rstrip()}\n{key.reveal()}"
    fd = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, pem.encode())
        # An empty password, or an encrypted key would ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    except (ssl.SSLError, OSError):
        raise BadProfile("the client certificate and its key cannot be read or do not match") from None
    finally:
        os.close(fd)


class Contexts:
    """Contexts by profile, made once each: reading the system's roots takes tens of milliseconds."""

    def __init__(self, roots: str | None = None) -> None:
        self._roots = roots
        self._made: dict[TlsProfile, ssl.SSLContext] = {}
        self._making = asyncio.Lock()

    async def of(self, profile: TlsProfile) -> ssl.SSLContext:
        """Return the context of a profile, with our usual roots if it brings none. Raises `BadProfile`."""
        context = self._made.get(profile)
        if context is None:
            async with self._making:
                context = self._made.get(profile) or await self._make(profile)
        return context

    async def _make(self, profile: TlsProfile) -> ssl.SSLContext:
        whole = profile if profile.roots is not None else replace(profile, roots=self._roots)
        context = await asyncio.to_thread(context_for, whole)
        while len(self._made) >= CONTEXTS_KEPT_MAX:
            del self._made[next(iter(self._made))]
        self._made[profile] = context
        return context


def facts_of(connection: ssl.SSLObject) -> TlsFacts:
    """Return what a finished handshake settled."""
    peer = connection.getpeercert() or {}
    cipher = connection.cipher()
    expires_at: Instant | None = None
    with suppress(KeyError, ValueError):
        expires_at = Instant(int(ssl.cert_time_to_seconds(str(peer["notAfter"]))) * SECOND)
    return TlsFacts(
        connection.version() or "",
        cipher[0] if cipher else "",
        _name(peer.get("subject", ())),
        _name(peer.get("issuer", ())),
        expires_at,
    )


def _name(parts: object) -> str:
    """Return a distinguished name in one line: `organizationName=Example, commonName=shop.example`."""
    if not isinstance(parts, tuple):
        return ""
    return ", ".join(f"{key}={value}" for part in parts for key, value in part)
