"""The operator's egress proxy: a tunnel to a judged address (webhooks.md §7.3).

The proxy is told the address only, never a name, so that it cannot look up another one. TLS then runs end to
end through the tunnel.
"""

import asyncio
import socket
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from opentill.outbound.allow import BadEntry
from opentill.outbound.urls import UnreadableHost, split_authority

PORT_DEFAULT: Final = 3_128
HEAD_BYTES_MAX: Final = 8_190
HEAD_END: Final = b"\r\n\r\n"
SETTING: Final = "webhooks.egress_proxy"


class NoTunnel(Exception):  # noqa: N818 - it says what is the matter
    """The proxy did not open the tunnel."""


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """The proxy all calls leave through. Its own address is the operator's choice and is not judged."""

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"EgressProxy({self.host}:{self.port})"

    @classmethod
    def parse(cls, text: str) -> "EgressProxy":
        """Read `http://[user:password@]host[:port]`. Raises `BadEntry`."""
        scheme, _, rest = text.rstrip("/").partition("://")
        credentials, at, authority = rest.rpartition("@")
        if scheme != "http":
            raise BadEntry(f"{SETTING} must look like http://proxy.example:3128")
        try:
            host, port = split_authority(authority)
        except UnreadableHost as broken:
            raise BadEntry(f"{SETTING} has no usable host: {broken}") from None
        basic = "Basic " + b64encode(unquote(credentials).encode()).decode() if at else None
        return cls(host, port or PORT_DEFAULT, basic)

    async def open_tunnel(self, sock: socket.socket, address: str, port: int) -> None:
        """Turn a connection to the proxy into one to *address*. Raises `NoTunnel` and `OSError`."""
        loop = asyncio.get_running_loop()
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("ascii"))

        head = b""
        while HEAD_END not in head:
            piece = await loop.sock_recv(sock, HEAD_BYTES_MAX)
            head += piece
            if not piece or len(head) > HEAD_BYTES_MAX:
                raise NoTunnel("it gave no answer that can be read")
        _check(head)


def _check(head: bytes) -> None:
    # In both protocols that follow we speak first: bytes after the head are not from the target.
    status_line = head.partition(b"\r\n")[0]
    words = status_line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise NoTunnel("it gave no answer that can be read")
    if words[1] != b"200" or head.index(HEAD_END) + len(HEAD_END) != len(head):
        raise NoTunnel(f"it answered {words[1].decode()[:3]}")
