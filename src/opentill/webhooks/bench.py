"""The verification bench: given what a receiver got and the secret it believes in, name the step that fails.

The steps are those of the documents, in order; the first that fails explains the rest. Words for people are the
page's: here a step has a name, an outcome and the facts.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from opentill.kernel.clock import SECOND, Instant
from opentill.kernel.secret import Secret, same
from opentill.webhooks import signing

TOLERANCE_S: Final = 300
HEADERS_MAX: Final = 200
HEX: Final = re.compile(r"[0-9a-f]{64}")
DIGITS: Final = re.compile(r"[0-9]{9,12}")
Outcome = Literal["good", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody pasted: header lines `Name: value`, the raw body, the secret."""

    headers: str
    body: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, how it went, and a figure that belongs to it."""

    name: str
    outcome: Outcome
    figure: str = ""


def inspect(given: Given, *, now: Instant) -> list[Step]:
    """Return the steps up to the first that fails."""
    headers = _parsed(given.headers)
    if not headers:
        return [Step("headers_missing", "bad")]
    if not given.secret.reveal():
        return [Step("secret_missing", "bad")]
    if given.secret.reveal() != given.secret.reveal().strip():
        return [Step("secret_spaces", "bad")]
    if "x-owem-signature" in headers:
        return _timed(given, headers, now)
    if "x-ownpay-signature" in headers or "x-signature" in headers or "x-op-signature" in headers:
        return _of_body(given, headers)
    if "webhook-signature" in headers:
        return _standard(given, headers, now)
    return [Step("signature_missing", "bad", ", ".join(sorted(headers))[:200])]


def _of_body(given: Given, headers: Mapping[str, str]) -> list[Step]:
    """The merchant dialect signs the body alone (merchant-api.md §14.3)."""
    offered = headers.get("x-ownpay-signature") or headers.get("x-signature") or headers["x-op-signature"]
    steps = [Step("dialect_merchant", "good")]
    plain = offered.removeprefix("sha256=").strip()
    if not HEX.fullmatch(plain):
        return [*steps, Step("signature_form", "bad", offered[:80])]
    return [*steps, *_compared(given, lambda body: signing.body_hex(given.secret, body), plain)]


def _timed(given: Given, headers: Mapping[str, str], now: Instant) -> list[Step]:
    """The PIX dialect signs `timestamp.body` (pix-api.md §17.3)."""
    steps, stamp = [Step("dialect_pix", "good")], headers.get("x-owem-timestamp", "")
    clock = _clock(stamp, now)
    if clock.outcome == "bad":
        return [*steps, clock]
    offered = headers["x-owem-signature"]
    if not offered.startswith("sha256=") or not HEX.fullmatch(offered[7:]):
        return [*steps, clock, Step("signature_form", "bad", offered[:80])]
    return [
        *steps,
        clock,
        *_compared(given, lambda body: signing.timed_signature(given.secret, int(stamp), body), offered),
    ]


def _standard(given: Given, headers: Mapping[str, str], now: Instant) -> list[Step]:
    """Standard Webhooks sign `id.timestamp.body` (webhooks.md §6.1)."""
    steps, stamp = [Step("dialect_standard", "good")], headers.get("webhook-timestamp", "")
    clock = _clock(stamp, now)
    if clock.outcome == "bad":
        return [*steps, clock]
    if not headers.get("webhook-id"):
        return [*steps, clock, Step("id_missing", "bad")]
    try:
        signing.standard_key(given.secret)
    except (ValueError, binascii.Error):
        return [*steps, clock, Step("secret_form", "bad")]
    tokens = headers["webhook-signature"].split()

    def made(body: bytes) -> str:
        return signing.standard_signature((given.secret,), headers["webhook-id"], int(stamp), body)

    right = any(same(made(given.body.encode()), token) for token in tokens)
    if right:
        return [*steps, clock, Step("signature", "good")]
    return [*steps, clock, *_compared(given, made, tokens[0] if tokens else "")]


def _compared(given: Given, made: Callable[[bytes], str], offered: str) -> list[Step]:
    """Compare; where it fails, try what usually happened to a body on its way through a form or an editor."""
    body = given.body
    if same(made(body.encode()), offered):
        return [Step("signature", "good")]
    changed = {
        "body_line_ends": body.replace("\r\n", "\n"),
        "body_last_line": body.replace("\r\n", "\n").rstrip("\n"),
        "body_spaces": body.strip(),
    }
    for name, text in changed.items():
        if text != body and same(made(text.encode()), offered):
            return [Step(name, "good" if name == "body_line_ends" else "bad")]
    return [Step("signature_differs", "bad", made(body.encode()))]


def _clock(stamp: str, now: Instant) -> Step:
    if not stamp:
        return Step("timestamp_missing", "bad")
    if not DIGITS.fullmatch(stamp):
        return Step("timestamp_form", "bad", stamp[:40])
    off = now // SECOND - int(stamp)
    return Step("clock", "good" if abs(off) <= TOLERANCE_S else "unknown", str(off))


def _parsed(text: str) -> dict[str, str]:
    """Read header lines; names in lower case. Lines without a colon are left out."""
    found = {}
    for line in text.splitlines()[:HEADERS_MAX]:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found
