"""The guard: one judgement for every URL and every address anything of ours would dial (webhooks.md §7).

The guard decides; it sends nothing. Looking names up is `names.py`, connecting is `dial.py`.
"""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from opentill.outbound.addresses import TABLE, Row
from opentill.outbound.allow import NOTHING, USUAL_PORTS, AllowList, Ports
from opentill.outbound.refusals import Refusal, refused_address, refused_name, refused_own, refused_url
from opentill.outbound.urls import Target, read_url

LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal")


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be dialled. *own* holds host and port of the installation's own public addresses."""

    allow: AllowList = NOTHING
    ports: Ports = USUAL_PORTS
    own: frozenset[tuple[str, int]] = frozenset()
    nat64: bool = False

    def check_url(self, text: str, *, plain_http: bool) -> Target | Refusal:
        """Judge a URL as it is written, and the address if its host is one. Nothing is looked up."""
        target = read_url(text)
        if isinstance(target, Refusal):
            return target

        host, port = target.host, target.port
        if target.scheme == "http" and not plain_http:
            return refused_url("http without TLS", host)
        if not self.allow.any_port and port not in self.ports:
            return refused_url(f"port {port}", host)
        if (host, port) in self.own and not self.allow.lists_exactly(host, port):
            return refused_own(host)
        if _is_local_name(target) and not self.allow.opens_name(host, port):
            return refused_name("local name", host)
        return (target.is_literal and self.check_addresses(target, (host,))) or target

    def check_addresses(self, target: Target, addresses: Iterable[str]) -> Refusal | None:
        """Judge everything a host resolves to. One bad address refuses all: a mixed answer is an attack."""
        for address in addresses:
            row = self.refusing(target, address)
            if row is not None:
                return refused_address(row, target.host, address)
        return None

    def check_own(self, target: Target, addresses: Sequence[str]) -> Refusal | None:
        """Refuse addresses of this host itself. Sends nothing. Hosts on the allow list are exempt."""
        if self.allow.lists(target.host, target.port):
            return None
        for address in addresses:
            # A loopback address that got this far was opened on purpose, by development mode.
            if not ip_address(address).is_loopback and is_own_address(address):
                return refused_own(target.host, address)
        return None

    def is_private(self, address: str) -> bool:
        """Tell whether an address could be dialled only because of the allow list."""
        return TABLE.refusing(address, (), self.nat64) is not None

    def refusing(self, target: Target, address: str) -> Row | None:
        """Return the row that forbids dialling *address* for *target*, or None."""
        return TABLE.refusing(address, self.allow.opened_for(target.host, target.port), self.nat64)


def _is_local_name(target: Target) -> bool:
    host = target.host
    return not target.is_literal and ("." not in host or host.endswith(LOCAL_SUFFIXES))


def is_own_address(address: str) -> bool:
    """Tell whether an address is one of this host's own.

    A connected UDP socket sends nothing, but has a local address: towards ourselves it is the target itself.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            local = str(probe.getsockname()[0])
    except OSError:
        return False  # no route: the connection will say so itself
    return ip_address(local) == ip_address(address)
