"""What an owner entrusts to us for the receiver: headers of its own and credentials (webhooks.md §4.2, §8.1).

Stored sealed, opened for each attempt, shown to nobody.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from opentill.kernel.errors import Fault
from opentill.kernel.secret import Keyring, Secret
from opentill.outbound.tls import BadProfile, TlsProfile, context_for

HEADERS_MAX: Final = 10
VALUE_CHARACTERS_MAX: Final = 1_024
FIELD_CHARACTERS_MAX: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PRINTABLE: Final = re.compile(r"[ -~]*")

RESERVED: Final = frozenset(
    ("host", "connection", "transfer-encoding", "te", "trailer", "upgrade", "expect", "cookie", "authorization",
     "user-agent", "accept-encoding", "x-signature")
)  # fmt: skip
RESERVED_PREFIXES: Final = ("content-", "proxy-", "webhook-", "x-ownpay-", "x-owem-", "x-op-", "x-opentill-")


class AuthKind(StrEnum):
    BASIC = "basic"
    BEARER = "bearer"
    OAUTH2 = "oauth2"
    MTLS = "mtls"


# The fields of each kind; those in the second place may be missing.
FIELDS: Final[Mapping[AuthKind, tuple[frozenset[str], frozenset[str]]]] = {
    AuthKind.BASIC: (frozenset(("username", "password")), frozenset()),
    AuthKind.BEARER: (frozenset(("token",)), frozenset()),
    AuthKind.OAUTH2: (frozenset(("token_url", "client_id", "client_secret")), frozenset(("scope",))),
    AuthKind.MTLS: (frozenset(("certificate", "key")), frozenset()),
}


@dataclass(frozen=True, slots=True, repr=False)
class Entrusted:
    """The owner's headers, and how to authenticate to the receiver. Never printed."""

    headers: tuple[tuple[str, str], ...] = ()
    kind: AuthKind | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "Entrusted(…)"

    def sealed(self, keyring: Keyring, endpoint_id: int) -> str:
        stored = {"headers": self.headers, "kind": self.kind, "fields": dict(self.fields)}
        return keyring.seal(json.dumps(stored, separators=(",", ":")).encode(), context(endpoint_id))

    @classmethod
    def opened(cls, sealed: str, keyring: Keyring, endpoint_id: int) -> "Entrusted":
        """Read what `sealed` wrote. Raises `SealedError`."""
        stored = json.loads(keyring.open(sealed, context(endpoint_id)))
        kind = None if stored["kind"] is None else AuthKind(stored["kind"])
        return cls(tuple((name, value) for name, value in stored["headers"]), kind, stored["fields"])

    def faults(self) -> list[Fault]:
        return [Fault(name, "VALIDATION_FAILED", text) for name, text in (*self._header_faults(), *self._auth_faults())]

    def _header_faults(self) -> Iterator[tuple[str, str]]:
        if len(self.headers) > HEADERS_MAX:
            yield "headers", f"headers must be at most {HEADERS_MAX}"
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or is_reserved(name):
                yield "headers", f"headers: {name[:64]!r} is not a name that can be set"
            elif len(value) > VALUE_CHARACTERS_MAX or not _PRINTABLE.fullmatch(value):
                yield (
                    "headers",
                    f"headers: the value of {name} must be at most {VALUE_CHARACTERS_MAX} printable characters",
                )

    def _auth_faults(self) -> Iterator[tuple[str, str]]:
        if self.kind is None:
            return
        needed, possible = FIELDS[self.kind]
        if not needed <= self.fields.keys() <= needed | possible:
            yield "auth", f"auth: {self.kind} takes {', '.join(sorted(needed))}"
        elif any(not value or len(value) > FIELD_CHARACTERS_MAX for value in self.fields.values()):
            yield "auth", "auth: a field is empty or too long"
        elif self.kind is AuthKind.MTLS:
            try:
                context_for(self.profile(None))
            except (BadProfile, ValueError):
                yield "auth", "auth: the client certificate and its key cannot be read or do not match"
        elif not all(map(_PRINTABLE.fullmatch, self.fields.values())):
            yield "auth", "auth: fields must be printable characters"

    def authorization(self) -> str | None:
        """Return the value of `Authorization` that needs no call: basic and bearer."""
        match self.kind:
            case AuthKind.BASIC:
                pair = f"{self.fields['username']}:{self.fields['password']}"
                return "Basic " + base64.b64encode(pair.encode()).decode()
            case AuthKind.BEARER:
                return f"Bearer {self.fields['token']}"
            case _:
                return None

    def profile(self, ca_bundle: str | None) -> TlsProfile:
        """Return our side of the handshake."""
        if self.kind is not AuthKind.MTLS:
            return TlsProfile(roots=ca_bundle)
        return TlsProfile(ca_bundle, self.fields["certificate"], Secret(self.fields["key"]))


NOTHING: Final = Entrusted()


def context(endpoint_id: int) -> str:
    """Return what the sealed text is bound to."""
    return f"webhook_endpoint.sealed/{endpoint_id}"


def is_reserved(name: str) -> bool:
    """Tell whether a header is ours, or the protocol's."""
    return name.lower() in RESERVED or name.lower().startswith(RESERVED_PREFIXES)
