"""Connecting: look up, judge, connect to what was judged, and nothing else (webhooks.md §7.3).

Every new connection of the process starts in `Dialler.connect`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Final, TypeVar

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from opentill.kernel.failpoints import reach
from opentill.outbound.guard import Guard
from opentill.outbound.model import Peer
from opentill.outbound.names import LOOKUP_S, Names, NoSuchName
from opentill.outbound.outcomes import Outcome
from opentill.outbound.refusals import Refusal, refused_address
from opentill.outbound.tls import BadProfile, Contexts, TlsFacts, TlsProfile, facts_of
from opentill.outbound.tunnel import EgressProxy, NoTunnel
from opentill.outbound.urls import Target, is_literal

CONNECT_S: Final = 5.0  # all addresses and the TLS handshake together
NEXT_ADDRESS_S: Final = 0.25  # unanswered for so long, the next address is tried beside the first
ADDRESSES_DIALLED_MAX: Final = 8
TLS_CLOSE_S: Final = 1.0

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Stopped(Exception):  # noqa: N818 - an outcome, raised where it is known
    """The attempt ends here. The text is for people and holds no address."""

    def __init__(self, outcome: Outcome, text: str, refusal: Refusal | None = None) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.text = text
        self.refusal = refusal

    @classmethod
    def by(cls, refusal: Refusal) -> "Stopped":
        """Stop because the guard says so."""
        return cls(refusal.outcome, refusal.for_merchant, refusal)


class RefusedSocket(PermissionError):  # noqa: N818 - named for what it says about the socket
    """The guard refused at the last moment, where an address is a number."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.rule)
        self.refusal = refusal


@dataclass(slots=True)
class Dial:
    """One attempt to get a connection: what it is for, and when each step of it ended (0: not yet)."""

    target: Target
    owner: Hashable = None
    phase: Outcome = Outcome.TIMEOUT_DNS  # what running out of time would be called now
    began: float = 0.0
    looked_up: float = 0.0
    connected: float = 0.0
    secured: float = 0.0
    peer: Peer | None = None


class Dialler:
    """Makes connections under one guard and one TLS profile."""

    def __init__(
        self, guard: Guard, names: Names, contexts: Contexts, profile: TlsProfile, proxy: EgressProxy | None = None
    ) -> None:
        self._guard = guard
        self._names = names
        self._contexts = contexts
        self._profile = profile
        self._proxy = proxy

    async def connect(self, dial: Dial, protocol: Callable[[], ProtocolT]) -> tuple[ProtocolT, Peer]:
        """Return a protocol connected to *dial*'s target, TLS included, and whom it talks to. Raises `Stopped`."""
        loop = asyncio.get_running_loop()
        dial.began = perf_counter()
        addresses = await self._judged_addresses(dial)
        dial.looked_up = perf_counter()
        reach("send.resolved")

        try:
            async with asyncio.timeout(CONNECT_S):
                dial.phase = Outcome.TIMEOUT_CONNECT
                sock, address = await self._socket(dial.target, addresses)
                dial.connected = perf_counter()
                reach("send.connected")
                dial.peer = Peer(address, self._guard.is_private(address))
                if dial.target.scheme == "http":
                    _, wired = await loop.create_connection(protocol, sock=sock)
                    return wired, dial.peer

                dial.phase = Outcome.TIMEOUT_TLS
                wired, facts = await self._secured(dial.target, sock, protocol)
                dial.secured = perf_counter()
                return wired, replace(dial.peer, tls=facts)
        except TimeoutError:
            raise Stopped(dial.phase, f"No connection within {CONNECT_S:.0f} seconds.") from None

    async def _judged_addresses(self, dial: Dial) -> Sequence[str]:
        target = dial.target
        addresses: Sequence[str] = (target.host,)
        if not target.is_literal:
            addresses = await self._look_up(target.host, dial.owner)

        dialled = addresses[:ADDRESSES_DIALLED_MAX]
        refusal = self._guard.check_addresses(target, addresses) or self._guard.check_own(target, dialled)
        if refusal is not None:
            raise Stopped.by(refusal)
        return dialled

    async def _look_up(self, host: str, owner: Hashable) -> Sequence[str]:
        try:
            return await self._names.addresses(host, owner=owner)
        except NoSuchName:
            raise Stopped(Outcome.DNS_FAILED, f"{host} has no address.") from None
        except TimeoutError:
            raise Stopped(Outcome.TIMEOUT_DNS, f"Looking up {host} took more than {LOOKUP_S:.0f} seconds.") from None

    async def _socket(self, target: Target, addresses: Sequence[str]) -> tuple[socket.socket, str]:
        """Return a connected socket and the judged address at its end, directly or through the proxy."""
        try:
            if self._proxy is not None:
                return await self._tunnel(self._proxy, target, addresses[0])
            sock = await _connect(addresses, target.port, partial(judged_socket, self._guard, target))
            return sock, str(sock.getpeername()[0])
        except RefusedSocket as refused:
            raise Stopped.by(refused.refusal) from None
        except ConnectionRefusedError:
            raise Stopped(Outcome.REFUSED, "The connection was refused.") from None
        except ConnectionResetError:
            raise Stopped(Outcome.RESET, "The connection was reset.") from None
        except OSError as error:
            # The deadline is a TimeoutError without a number; the kernel's own has one.
            if isinstance(error, TimeoutError):
                if error.errno is None:
                    raise
                raise Stopped(Outcome.TIMEOUT_CONNECT, "The connection was not answered.") from None
            raise Stopped(Outcome.UNREACHABLE, "The host cannot be reached.") from None

    async def _tunnel(self, proxy: EgressProxy, target: Target, address: str) -> tuple[socket.socket, str]:
        try:
            own = (proxy.host,) if is_literal(proxy.host) else await self._names.addresses(proxy.host)
            sock = await _connect(own, proxy.port)
        except (OSError, NoSuchName) as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            raise Stopped(Outcome.UNREACHABLE, "The egress proxy cannot be reached.") from None
        try:
            await proxy.open_tunnel(sock, address, target.port)
        except NoTunnel as refused:
            sock.close()
            raise Stopped(Outcome.UNREACHABLE, f"The egress proxy made no tunnel: {refused}.") from None
        except BaseException:
            sock.close()
            raise
        return sock, address

    async def _secured(
        self, target: Target, sock: socket.socket, protocol: Callable[[], ProtocolT]
    ) -> tuple[ProtocolT, TlsFacts]:
        """Put TLS on the socket and the protocol on top. The certificate must be that of the URL's host."""
        try:
            context = await self._contexts.of(self._profile)
        except BadProfile as bad:
            sock.close()
            raise Stopped(Outcome.TLS_FAILED, f"{bad}.") from None
        try:
            transport, wired = await asyncio.get_running_loop().create_connection(
                protocol,
                sock=sock,
                ssl=context,
                server_hostname=target.host,
                ssl_shutdown_timeout=TLS_CLOSE_S,
            )
        except ssl.SSLCertVerificationError as error:
            text = f"The certificate is not valid: {error.verify_message}."
            raise Stopped(Outcome.TLS_CERTIFICATE, text) from None
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise Stopped(Outcome.TLS_FAILED, f"The TLS handshake failed{_reason(error)}.") from None
        return wired, facts_of(transport.get_extra_info("ssl_object"))


async def _connect(
    addresses: Sequence[str], port: int, factory: Callable[[AddrInfoType], socket.socket] | None = None
) -> socket.socket:
    """Connect to the first address that answers, tried in the resolver's order."""
    infos = [address_info(address, port) for address in addresses]
    return await aiohappyeyeballs.start_connection(
        infos, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=0, socket_factory=factory
    )


def address_info(address: str, port: int) -> AddrInfoType:
    """Return an address in the form sockets are made from."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


def judged_socket(guard: Guard, target: Target, info: AddrInfoType) -> socket.socket:
    """Make the socket for one address, after judging the number once more. Raises `RefusedSocket`."""
    family, type_, proto, _, sockaddr = info
    address = str(sockaddr[0])
    row = guard.refusing(target, address)
    if row is not None:
        raise RefusedSocket(refused_address(row, target.host, address))
    return socket.socket(family, type_, proto)


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return f": {reason.lower().replace('_', ' ')}" if reason else ""
