"""The verification bench: which step of checking a request fails, and why (webhooks.md §6.6, §12). Pure.

It does what a receiver should do, step by step, and goes on after a failure where that can tell more. The secret is
used for this one check; nothing here keeps it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentill.kernel.clock import Instant, unix_seconds
from opentill.kernel.secret import Secret, same
from opentill.webhooks.model import Dialect
from opentill.webhooks.signing import STANDARD_PREFIX, body_hex, standard_signature, timed_signature

TOLERANCE_S: Final = 300
TEXT_CHARACTERS_MAX: Final = 40_000
OWN_SIGNATURES: Final = {
    Dialect.MERCHANT: "x-ownpay-signature",
    Dialect.PIX: "x-owem-signature",
    Dialect.STANDARD: "webhook-signature",
}
TIMESTAMPS: Final = ("webhook-timestamp", "x-owem-timestamp", "x-ownpay-timestamp")
IDS: Final = ("webhook-id", "x-owem-event-id")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a word the page has a sentence for, whether it passed, and what the sentence needs."""

    name: str
    passed: bool | None  # None: it could not be looked at
    finding: str
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sent:
    """What we sent under the id of the request, if it is one of ours."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Pasted:
    """What somebody received and did not trust."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes
    secret: Secret

    @property
    def event_id(self) -> str | None:
        return next((self.headers[name] for name in IDS if name in self.headers), None)

    @property
    def timestamp(self) -> str | None:
        return next((self.headers[name] for name in TIMESTAMPS if name in self.headers), None)


def read_headers(text: str) -> dict[str, str]:
    """Read pasted header lines; what is none is left out. The last of a name counts, as in most frameworks."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon and name.strip()}


def body_of(text: str) -> bytes:
    """Return the bytes of a pasted body: a browser makes every line break two characters."""
    return text.replace("\r\n", "\n").encode()


def check(pasted: Pasted, dialect: Dialect, *, sent: Sent | None, now: Instant) -> list[Step]:
    """Go through a verification as a receiver of the dialect makes it."""
    return [
        _dialect_step(pasted, dialect),
        _time_step(pasted, now),
        _body_step(pasted, sent),
        _secret_step(pasted.secret, dialect),
        _signature_step(pasted, dialect),
    ]


def _dialect_step(pasted: Pasted, dialect: Dialect) -> Step:
    if _signature_of(pasted, dialect) is not None:
        return Step("headers", True, "present", {"header": OWN_SIGNATURES[dialect]})
    other = next((d for d in Dialect if OWN_SIGNATURES[d] in pasted.headers), None)
    if other is not None and other is not Dialect.STANDARD:
        return Step("headers", False, "other_dialect", {"dialect": other.name.lower()})
    return Step("headers", False, "missing", {"header": OWN_SIGNATURES[dialect]})


def _time_step(pasted: Pasted, now: Instant) -> Step:
    text = pasted.timestamp
    if text is None:
        return Step("time", None, "missing", {})
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return Step("time", False, "unreadable", {"text": text[:40]})
    age_s = unix_seconds(now) - int(text)
    if abs(age_s) <= TOLERANCE_S:
        return Step("time", True, "fresh", {"seconds": age_s})
    return Step("time", False, "old" if age_s > 0 else "ahead", {"seconds": abs(age_s)})


def _body_step(pasted: Pasted, sent: Sent | None) -> Step:
    """Compare with what we sent, if the request is one of ours; else say that it cannot be known."""
    if sent is None:
        return Step("body", None, "unknown", {})
    if pasted.body == sent.body:
        return Step("body", True, "same", {"bytes": len(sent.body)})
    if pasted.body.strip() == sent.body:
        return Step("body", False, "blanks", {})
    place = first_difference(pasted.body, sent.body)
    return Step(
        "body",
        False,
        "changed",
        {
            "place": place,
            "got": _around(pasted.body, place),
            "sent": _around(sent.body, place),
            "got_bytes": len(pasted.body),
            "sent_bytes": len(sent.body),
        },
    )


def first_difference(one: bytes, other: bytes) -> int:
    """Return the first place at which two texts differ."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _around(body: bytes, place: int) -> str:
    return body[max(0, place - 12) : place + 12].decode(errors="replace")


def _secret_step(secret: Secret, dialect: Dialect) -> Step:
    text = secret.reveal()
    if not text:
        return Step("secret", False, "empty", {})
    if text != text.strip():
        return Step("secret", False, "blanks", {})
    if text.startswith(("op_", "sk_", "cli_")):
        return Step("secret", False, "other_key", {})
    if dialect is not Dialect.PIX and not text.startswith(STANDARD_PREFIX) and len(text) == 44 and text.endswith("="):
        return Step("secret", False, "prefix_lost", {})
    return Step("secret", True, "plausible", {})


def _signature_step(pasted: Pasted, dialect: Dialect) -> Step:
    """Compute the signature and say whether it is the one received, or which other input would have made it."""
    received = _signature_of(pasted, dialect)
    if received is None or not pasted.secret.reveal():
        return Step("signature", None, "not_checked", {})
    if _fits(pasted, dialect, pasted.secret, received):
        return Step("signature", True, "valid", {})
    if not _well_formed(received, dialect):
        return Step("signature", False, "malformed", {"received": received[:90]})
    for finding, secret in _likely(pasted.secret):
        if _fits(pasted, dialect, secret, received):
            return Step("signature", False, finding, {})
    trimmed = Pasted(pasted.headers, pasted.body.strip(), pasted.secret)
    if _fits(trimmed, dialect, pasted.secret, received):
        return Step("signature", False, "blanks", {})
    return Step("signature", False, "different", {})


def _likely(secret: Secret) -> Sequence[tuple[str, Secret]]:
    """Return what people paste instead of a secret, and what it would have had to be."""
    text = secret.reveal()
    return (
        ("secret_blanks", Secret(text.strip())),
        ("secret_prefix", Secret(STANDARD_PREFIX + text)),
        ("secret_prefix", Secret(text.removeprefix(STANDARD_PREFIX))),
    )


def _fits(pasted: Pasted, dialect: Dialect, secret: Secret, received: str) -> bool:
    if not secret.reveal():
        return False
    match dialect:
        case Dialect.MERCHANT:
            return same(received.removeprefix("sha256="), body_hex(secret, pasted.body))
        case Dialect.PIX:
            return same(received, timed_signature(secret, _seconds(pasted), pasted.body))
        case Dialect.STANDARD:
            made = standard_signature((secret,), pasted.event_id or "", _seconds(pasted), pasted.body)
            return any(same(token, made) for token in received.split(" "))


def _well_formed(received: str, dialect: Dialect) -> bool:
    match dialect:
        case Dialect.MERCHANT | Dialect.PIX:
            return _HEX.fullmatch(received.removeprefix("sha256=")) is not None
        case Dialect.STANDARD:
            return any(token.startswith("v1,") for token in received.split(" "))


def _signature_of(pasted: Pasted, dialect: Dialect) -> str | None:
    found = pasted.headers.get(OWN_SIGNATURES[dialect])
    if found is None and dialect is Dialect.MERCHANT:
        return pasted.headers.get("x-signature") or pasted.headers.get("x-op-signature")
    return found


def _seconds(pasted: Pasted) -> int:
    text = pasted.timestamp or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
