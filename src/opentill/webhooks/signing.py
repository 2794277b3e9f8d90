"""Signatures and headers of an attempt (webhooks.md §6). Pure: bytes and secrets in, texts out.

Every signature is computed over the stored payload bytes at the moment of sending; nothing re-encodes them.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Final

from opentill.kernel.secret import Secret
from opentill.webhooks import signing_keys
from opentill.webhooks.model import Dialect, SignatureFormat, SigningSecrets

STANDARD_PREFIX: Final = "whsec_"
MERCHANT_USER_AGENT: Final = f"OpenTill-Webhook/{version_of('opentill')}"
USER_AGENT: Final = "OpenTill-Webhooks/1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the headers of one attempt are made from. *timestamp* is Unix seconds of this attempt."""

    dialect: Dialect
    event_id: str
    event_name: str
    delivery_id: str
    number: int
    timestamp: int
    body: bytes
    signature_format: SignatureFormat = SignatureFormat.PREFIXED
    standard_headers: bool = True

    def __post_init__(self) -> None:
        """Nothing that is signed or sent beside the body holds what could move the border between two parts."""
        for word in (self.event_id, self.delivery_id, *self.event_name.split(".")):
            if not (word.isascii() and word.isidentifier()):
                raise ValueError(f"{word!r} cannot stand in a header")


def headers(attempt: Attempt, secrets: SigningSecrets) -> list[tuple[str, str]]:
    """Return every header of an attempt but those of HTTP itself, in a fixed order."""
    match attempt.dialect:
        case Dialect.MERCHANT:
            own = _merchant_headers(attempt, secrets)
        case Dialect.PIX:
            own = _pix_headers(attempt, secrets)
        case Dialect.STANDARD:
            own = [
                ("User-Agent", USER_AGENT),
                ("X-OpenTill-Delivery-Id", attempt.delivery_id),
                ("X-OpenTill-Attempt", str(attempt.number)),
            ]
    with_standard = attempt.standard_headers or attempt.dialect is Dialect.STANDARD
    standard = _standard_headers(attempt, secrets) if with_standard else []
    return [("Content-Type", "application/json"), *own, *standard]


def _merchant_headers(attempt: Attempt, secrets: SigningSecrets) -> list[tuple[str, str]]:
    plain = body_hex(secrets.current, attempt.body)
    signed = _formatted(plain, attempt.signature_format)
    made = [
        ("User-Agent", MERCHANT_USER_AGENT),
        ("X-OwnPay-Event", attempt.event_name),
        ("X-OwnPay-Delivery", attempt.delivery_id),
        ("X-OwnPay-Attempt", str(attempt.number)),
        ("X-OwnPay-Timestamp", str(attempt.timestamp)),
        ("X-OwnPay-Signature", signed),
        ("X-Signature", signed),
        ("X-OP-Signature", plain),
    ]
    if secrets.previous is not None:
        previous = _formatted(body_hex(secrets.previous, attempt.body), attempt.signature_format)
        made.append(("X-OwnPay-Signature-Previous", previous))
    return made


def _pix_headers(attempt: Attempt, secrets: SigningSecrets) -> list[tuple[str, str]]:
    made = [
        ("User-Agent", USER_AGENT),
        ("X-Owem-Event-Id", attempt.event_id),
        ("X-Owem-Event-Type", attempt.event_name),
        ("X-OpenTill-Delivery-Id", attempt.delivery_id),
        ("X-OpenTill-Attempt", str(attempt.number)),
        ("X-Owem-Timestamp", str(attempt.timestamp)),
        ("X-Owem-Signature", timed_signature(secrets.current, attempt.timestamp, attempt.body)),
    ]
    if secrets.previous is not None:
        previous = timed_signature(secrets.previous, attempt.timestamp, attempt.body)
        made.append(("X-Owem-Signature-Previous", previous))
    return made


def _standard_headers(attempt: Attempt, secrets: SigningSecrets) -> list[tuple[str, str]]:
    valid = (secrets.current,) if secrets.previous is None else (secrets.current, secrets.previous)
    signed = standard_signature(valid, attempt.event_id, attempt.timestamp, attempt.body, seeds=secrets.seeds)
    made = [
        ("webhook-id", attempt.event_id),
        ("webhook-timestamp", str(attempt.timestamp)),
        ("webhook-signature", signed),
    ]
    if secrets.kid is not None:
        made.append(("X-OpenTill-Key-Id", secrets.kid))
    return made


def body_hex(secret: Secret, body: bytes) -> str:
    """Sign the body alone: the S of merchant-api.md §14.3."""
    return hmac.digest(secret.reveal().encode(), body, "sha256").hex()


def timed_signature(secret: Secret, timestamp: int, body: bytes) -> str:
    """Sign `timestamp.body`: the value of `X-Owem-Signature` (pix-api.md §17.3)."""
    signed = f"{timestamp}.".encode() + body
    return "sha256=" + hmac.digest(secret.reveal().encode(), signed, "sha256").hex()


def standard_signature(
    secrets: Sequence[Secret], event_id: str, timestamp: int, body: bytes, *, seeds: Sequence[Secret] = ()
) -> str:
    """Sign `id.timestamp.body` with each secret, then each seed: the tokens of `webhook-signature`, a space between."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    made = [("v1", hmac.digest(standard_key(secret), signed, "sha256")) for secret in secrets]
    made += [("v1a", signing_keys.sign(seed, signed)) for seed in seeds]
    return " ".join(f"{version},{base64.b64encode(signature).decode()}" for version, signature in made)


def standard_key(secret: Secret) -> bytes:
    """Return the key a Standard Webhooks library makes of a secret pasted unchanged (webhooks.md §6.2)."""
    text = secret.reveal()
    return canonical_base64(text.removeprefix(STANDARD_PREFIX)) or text.encode()


def standard_form(secret: Secret) -> Secret:
    """Return the form of a secret that every Standard Webhooks library accepts."""
    return Secret(STANDARD_PREFIX + base64.b64encode(standard_key(secret)).decode())


def canonical_base64(text: str) -> bytes | None:
    """Decode standard base64 that encodes back to the same text; None for anything else."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _formatted(plain: str, form: SignatureFormat) -> str:
    return plain if form is SignatureFormat.BARE else f"sha256={plain}"
