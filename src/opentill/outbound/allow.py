"""What the operator opens: the allow list and the list of ports (webhooks.md §7.6)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, Self

from opentill.outbound.addresses import EVERYTHING, LOOPBACK, NEVER, Network, judge
from opentill.outbound.urls import PORT_MAX, UnreadableHost, is_literal, split_authority

V4_PREFIX_MIN: Final = 8
V6_PREFIX_MIN: Final = 7
_NUMBER: Final = re.compile(r"\d{1,5}", re.ASCII)
PRIVATE_NETWORKS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class BadEntry(ValueError):  # noqa: N818 - named for what it says about the entry
    """An entry of a list that stops the start. The message is a sentence that names the entry."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """Networks and hosts that may be dialled although the table refuses them.

    A network opens *refused* addresses for every host name. A host entry opens *refused* and *loopback*
    addresses for exactly this host name, and this port if it names one. Nothing opens *never*.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[tuple[str, int | None]] = frozenset()
    local_names: bool = False
    any_port: bool = False

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read entries such as `10.20.0.0/16`, `shop.lan` and `localhost:8080`. Raises `BadEntry`."""
        networks: list[Network] = []
        hosts: set[tuple[str, int | None]] = set()
        for entry in filter(None, (entry.strip() for entry in entries)):
            if "/" in entry:
                networks.append(_network(entry))
            else:
                hosts.add(_host(entry))
        return cls(tuple(networks), frozenset(hosts))

    @classmethod
    def development(cls) -> Self:
        """Return what `opentill serve --dev` adds: loopback, its names, and any port."""
        return cls(LOOPBACK, local_names=True, any_port=True)

    @classmethod
    def private_addresses(cls) -> Self:
        """Return what `pix.webhooks.allow_private_addresses` stands for."""
        return cls((*map(ip_network, PRIVATE_NETWORKS), *LOOPBACK), local_names=True)

    def __or__(self, other: "AllowList") -> "AllowList":
        return AllowList(
            tuple(dict.fromkeys((*self.networks, *other.networks))),
            self.hosts | other.hosts,
            self.local_names or other.local_names,
            self.any_port or other.any_port,
        )

    def lists(self, host: str, port: int) -> bool:
        """Tell whether a host entry names this host, or this host and port."""
        return (host, None) in self.hosts or (host, port) in self.hosts

    def lists_exactly(self, host: str, port: int) -> bool:
        """Tell whether a host entry names this host together with this port."""
        return (host, port) in self.hosts

    def opened_for(self, host: str, port: int) -> tuple[Network, ...]:
        """Return the networks in which openable addresses of this host may be dialled."""
        return EVERYTHING if self.lists(host, port) else self.networks

    def opens_name(self, host: str, port: int) -> bool:
        """Tell whether a name that is local by its form may be looked up."""
        is_loopback_name = host == "localhost" or host.endswith(".localhost")
        return self.lists(host, port) or (self.local_names and is_loopback_name)


NOTHING: Final = AllowList()


def _network(entry: str) -> Network:
    try:
        network = ip_network(entry if "%" not in entry else "")
    except ValueError:
        raise BadEntry(f"{entry} is not a network: write it like 10.20.0.0/16 or fd12:3456::/32") from None

    narrowest = V4_PREFIX_MIN if network.version == 4 else V6_PREFIX_MIN
    if network.prefixlen < narrowest:
        raise BadEntry(f"{entry} is too wide: an entry may not be wider than /{narrowest}")
    if any(network.overlaps(loopback) for loopback in LOOPBACK):
        raise BadEntry(f"{entry} covers loopback: list localhost or 127.0.0.1 as a host instead")
    for never in NEVER:
        if network.version == never.version and network.subnet_of(never):  # type: ignore[arg-type]
            raise BadEntry(f"{entry} lies inside {never}, which nothing opens")
    return network


def _host(entry: str) -> tuple[str, int | None]:
    # An IPv6 address has colons of its own; with a port it needs its brackets.
    try:
        host, port = split_authority(f"[{entry}]" if entry.count(":") > 1 and entry[0] != "[" else entry)
    except UnreadableHost as broken:
        raise BadEntry(f"{entry} is not a host: {broken}") from None

    if is_literal(host) and judge(host, EVERYTHING) is not None:
        raise BadEntry(f"{entry} is an address that nothing opens")
    return host, port


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that may be dialled: 80, 443 and 1024 to 65535 unless the operator says otherwise."""

    ranges: tuple[tuple[int, int], ...] = ((80, 80), (443, 443), (1024, PORT_MAX))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list such as `80,443,1024-65535`. Raises `BadEntry`."""
        return cls(tuple(_range(part.strip()) for part in text.split(",")))

    def __contains__(self, port: int) -> bool:
        return any(first <= port <= last for first, last in self.ranges)


USUAL_PORTS: Final = Ports()


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not _NUMBER.fullmatch(first) or (dash and not _NUMBER.fullmatch(last)):
        raise BadEntry(f"{text or 'an empty text'} is not a port or a range of ports")
    span = int(first), int(last if dash else first)
    if not 1 <= span[0] <= span[1] <= PORT_MAX:
        raise BadEntry(f"{text} is not a range of ports between 1 and {PORT_MAX}")
    return span
