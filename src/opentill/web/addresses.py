"""Who is calling: the address of a caller behind trusted proxies, and allow-lists of addresses."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

UNKNOWN: Final = "0.0.0.0"  # noqa: S104 - stands for a caller without an address, such as a Unix socket


def caller_address(peer: str | None, forwarded: Sequence[bytes], proxies: tuple[Network, ...]) -> str:
    """Return the caller's address, IPv4-mapped ones as IPv4.

    It is the socket's peer; if that is a trusted proxy, the right-most untrusted entry of X-Forwarded-For.
    """
    address = _plain(peer or UNKNOWN)
    if not proxies or not _inside(address, proxies):
        return address
    for entry in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        named = _plain(entry.strip())
        if not _is_address(named):
            return address
        address = named
        if not _inside(address, proxies):
            return address
    return address


@lru_cache(maxsize=4096)
def admitted(address: str, entries: tuple[str, ...]) -> bool:
    """Tell whether an address matches an entry of an allow-list: an address or a network."""
    return _inside(address, tuple(ip_network(entry, strict=False) for entry in entries))


def is_network(entry: object) -> bool:
    """Tell whether something can be an entry of an allow-list."""
    try:
        ip_network(entry if isinstance(entry, str) else "", strict=False)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _inside(address: str, networks: tuple[Network, ...]) -> bool:
    if not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in networks if network.version == parsed.version)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """Return one spelling of an address, without a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if not _is_address(text):
        return text
    parsed = ip_address(text)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
