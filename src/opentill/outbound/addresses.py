"""The table of addresses nothing of ours may dial, and the judge that reads it (webhooks.md §7.4).

The table is written out instead of built on `ipaddress.is_global` or `is_private`, which misjudge several of
these networks and change with the Python version. A network stands in one of three sets:

    loopback   opened by a host entry of the allow list, or by development mode
    never      link-local, metadata services, multicast, and every form that hides another address
    refused    private, shared, reserved; the allow list may open them
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Kind(StrEnum):
    """The set a network stands in. Where rows overlap, the set named first here decides."""

    LOOPBACK = "loopback"
    NEVER = "never"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: its set, its name, where it applies, and in words what such an address is."""

    kind: Kind
    name: str
    rule: str
    spans: tuple[Network, ...]
    what: str

    @property
    def openable(self) -> bool:
        """Tell whether an allow list can open these addresses."""
        return self.kind is not Kind.NEVER

    @property
    def is_one_address(self) -> bool:
        """Tell whether naming the row gives a single address away."""
        return all(span.num_addresses == 1 for span in self.spans)


def _row(kind: Kind, network: str, what: str) -> Row:
    return Row(kind, network, f"{kind} {network}", (ip_network(network),), what)


SCOPED: Final = Row(Kind.NEVER, "%", "scoped address", (), "an address of one network card")

ROWS: Final = (
    _row(Kind.LOOPBACK, "127.0.0.0/8", "a loopback address"),
    _row(Kind.LOOPBACK, "::1/128", "a loopback address"),
    _row(Kind.NEVER, "0.0.0.0/8", "an unspecified address"),
    _row(Kind.NEVER, "100.100.100.200/32", "a metadata service"),
    _row(Kind.NEVER, "168.63.129.16/32", "a metadata service"),
    _row(Kind.NEVER, "169.254.0.0/16", "a link-local address"),
    _row(Kind.NEVER, "192.0.0.192/32", "a metadata service"),
    _row(Kind.NEVER, "224.0.0.0/3", "a multicast or reserved address"),
    _row(Kind.NEVER, "::/8", "an unspecified or translated address"),
    _row(Kind.NEVER, "2001::/32", "a Teredo address"),
    _row(Kind.NEVER, "2002::/16", "a 6to4 address"),
    _row(Kind.NEVER, "fd00:ec2::/32", "a metadata service"),
    _row(Kind.NEVER, "fd20:ce::/32", "a metadata service"),
    _row(Kind.NEVER, "fe80::/10", "a link-local address"),
    _row(Kind.NEVER, "fec0::/10", "a site-local address"),
    _row(Kind.NEVER, "ff00::/8", "a multicast address"),
    _row(Kind.REFUSED, "10.0.0.0/8", "a private address"),
    _row(Kind.REFUSED, "100.64.0.0/10", "a carrier's shared address"),
    _row(Kind.REFUSED, "172.16.0.0/12", "a private address"),
    _row(Kind.REFUSED, "192.0.0.0/24", "a protocol address"),
    _row(Kind.REFUSED, "192.0.2.0/24", "a documentation address"),
    _row(Kind.REFUSED, "192.88.99.0/24", "a 6to4 relay address"),
    _row(Kind.REFUSED, "192.168.0.0/16", "a private address"),
    _row(Kind.REFUSED, "198.18.0.0/15", "a benchmarking address"),
    _row(Kind.REFUSED, "198.51.100.0/24", "a documentation address"),
    _row(Kind.REFUSED, "203.0.113.0/24", "a documentation address"),
    _row(Kind.REFUSED, "2001::/23", "a protocol address"),
    _row(Kind.REFUSED, "2001:db8::/32", "a documentation address"),
    _row(Kind.REFUSED, "3fff::/20", "a documentation address"),
    Row(
        Kind.REFUSED,
        "outside 2000::/3",
        "refused outside 2000::/3",
        (IPv6Network("::/3"), IPv6Network("4000::/2"), IPv6Network("8000::/1")),
        "a private or unassigned address",
    ),
)

LOOPBACK: Final = tuple(span for row in ROWS if row.kind is Kind.LOOPBACK for span in row.spans)
NEVER: Final = tuple(span for row in ROWS if row.kind is Kind.NEVER for span in row.spans)
EVERYTHING: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
NAT64_PREFIX: Final = IPv6Network("64:ff9b::/96")


class Table:
    """The rows, laid out as neighbouring stretches of the number line, so that a look-up is one bisection."""

    def __init__(self, rows: Sequence[Row] = ROWS) -> None:
        self._v4 = _stretches(rows, IPv4Network)
        self._v6 = _stretches(rows, IPv6Network)

    def refusing(self, text: str, allow: Iterable[Network] = (), nat64: bool = False) -> Row | None:
        """Return the row that forbids dialling the address *text*, or None if it may be dialled.

        *allow* opens what it contains, except the networks that are never opened. *nat64* is for hosts that
        have only IPv6: an address of the well-known prefix is judged by the IPv4 address inside it.
        Raises `ValueError` if *text* is not an address.
        """
        if "%" in text:
            return SCOPED

        address = ip_address(text)
        if nat64 and address in NAT64_PREFIX:
            address = IPv4Address(int(address) & 0xFFFF_FFFF)

        starts, rows = self._v4 if address.version == 4 else self._v6
        row = rows[bisect_right(starts, int(address)) - 1]
        if row is not None and row.openable and any(address in network for network in allow):
            return None
        return row

    def judge(self, text: str, allow: Iterable[Network] = (), nat64: bool = False) -> str | None:
        """Return the rule that forbids dialling the address *text*, or None if it may be dialled."""
        row = self.refusing(text, allow, nat64)
        return None if row is None else row.rule


def _stretches(rows: Sequence[Row], version: type[Network]) -> tuple[list[int], list[Row | None]]:
    """Return where each stretch begins, and the row that decides there."""
    ordered = sorted(rows, key=lambda row: list(Kind).index(row.kind))
    spans = [
        (int(span.network_address), int(span.broadcast_address), row)
        for row in ordered
        for span in row.spans
        if isinstance(span, version)
    ]
    starts = sorted({0} | {first for first, _, _ in spans} | {last + 1 for _, last, _ in spans})
    deciding = [next((row for first, last, row in spans if first <= start <= last), None) for start in starts]
    return starts, deciding


TABLE: Final = Table()
judge = TABLE.judge
