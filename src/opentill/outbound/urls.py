"""Reading a URL that a stranger wrote (webhooks.md §7.2).

One strict reader takes the URL apart, and everything after it (the look-up, the connection, the certificate
check, the request line) uses those parts. No second parser can see another host in the same text.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote

import idna
from yarl import URL

from opentill.outbound.refusals import Refusal, refused_url

URL_CHARACTERS_MAX: Final = 2_048
HOST_CHARACTERS_MAX: Final = 253
LABEL_CHARACTERS_MAX: Final = 63
PORT_MAX: Final = 65_535

_UNWRITABLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\ud800-\udfff\\]|\s")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_QUAD: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_PORT: Final = re.compile(r"\d{1,5}", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PATH_SAFE: Final = "%/:?[]@!$&'()*+,;=-._~"


class UnreadableHost(Exception):  # noqa: N818 - named for what it says about the host
    """A host that cannot be one; the message is the rule it breaks."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: where to connect, and what to ask for there."""

    scheme: str
    host: str  # ASCII, lower case; an IPv6 address without its brackets
    port: int
    is_literal: bool
    url: URL

    @property
    def text(self) -> str:
        """Return the normalised URL."""
        return str(self.url)

    @property
    def origin(self) -> str:
        """Return scheme, host and port: all that process logs may hold of a URL."""
        return str(self.url.origin())


def read_url(text: str) -> Target | Refusal:
    """Take a URL apart, or say which rule it breaks. Looks at nothing but the text."""
    if len(text) > URL_CHARACTERS_MAX:
        return refused_url(f"longer than {URL_CHARACTERS_MAX} characters")
    if _UNWRITABLE.search(text):
        return refused_url("control character, blank or backslash")
    if "#" in text:
        return refused_url("fragment")

    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        return refused_url("scheme other than https and http")
    # Up to the first slash: readers disagree on where the host ends in `https://a?@b/`.
    if "@" in rest.partition("/")[0]:
        return refused_url("user info")

    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    try:
        host, port = split_authority(authority)
    except UnreadableHost as broken:
        return refused_url(str(broken))
    return _assemble(scheme, host, port, rest[len(authority) :])


def _assemble(scheme: str, host: str, port: int | None, tail: str) -> Target | Refusal:
    port = port or _DEFAULT_PORTS[scheme]
    path, _, query = quote(tail, safe=_PATH_SAFE).partition("?")
    written = f"[{host}]" if ":" in host else host
    shown = written if port == _DEFAULT_PORTS[scheme] else f"{written}:{port}"
    url = URL.build(scheme=scheme, authority=shown, path=path or "/", query_string=query, encoded=True)

    if len(str(url)) > URL_CHARACTERS_MAX:
        return refused_url(f"longer than {URL_CHARACTERS_MAX} characters")
    if url.raw_host != host or url.port != port:
        return refused_url("host that reads two ways")
    return Target(scheme, host, port, is_literal(host), url)


def split_authority(text: str) -> tuple[str, int | None]:
    """Return the normalised host and the port of `host[:port]`. Raises `UnreadableHost`."""
    if text.startswith("["):
        literal, bracket, after = text[1:].partition("]")
        if not bracket or after[:1] not in ("", ":"):
            raise UnreadableHost("broken IPv6 literal")
        return _normal_v6(literal), _port(after[1:]) if after else None

    host, colon, port = text.partition(":")
    return normal_host(host), _port(port) if colon else None


def normal_host(text: str) -> str:
    """Return a host name or IPv4 address in the one form that is looked up. Raises `UnreadableHost`."""
    host = text.lower() if text.isascii() else _mapped(text)
    host = host.removesuffix(".")
    if not host:
        raise UnreadableHost("empty host")
    if not host.isascii() or "xn--" in host:
        host = _encoded(host)
    if len(host) > HOST_CHARACTERS_MAX:
        raise UnreadableHost(f"host longer than {HOST_CHARACTERS_MAX} characters")

    labels = host.split(".")
    if any(len(label) > LABEL_CHARACTERS_MAX for label in labels):
        raise UnreadableHost(f"label longer than {LABEL_CHARACTERS_MAX} characters")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise UnreadableHost("character that no host has")
    # What other programs would read as a number is a number here too, and only in its plain form.
    if (labels[-1].isdigit() or labels[-1].startswith("0x")) and not is_literal(host):
        raise UnreadableHost("address not in the form 203.0.113.9")
    return host


def is_literal(host: str) -> bool:
    """Tell whether a normalised host is an address, not a name."""
    return ":" in host or _QUAD.fullmatch(host) is not None


def _mapped(text: str) -> str:
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except idna.IDNAError:
        raise UnreadableHost("character that no host has") from None


def _encoded(host: str) -> str:
    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii")
    except idna.IDNAError:
        raise UnreadableHost("international name that is not valid") from None


def _normal_v6(literal: str) -> str:
    if "%" in literal:
        raise UnreadableHost("scoped address")
    try:
        return str(IPv6Address(literal))
    except ValueError:
        raise UnreadableHost("broken IPv6 literal") from None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= PORT_MAX:
        raise UnreadableHost("port that does not exist")
    return int(text)
