"""Verify a webhook of OpenTill with the standard library alone; v1a needs the package `cryptography`.

    verify(raw_body, headers, secret)             # symmetric: the endpoint's secret
    verify(raw_body, headers, jwks=fetched)       # asymmetric: /.well-known/webhooks/<merchant>/jwks.json

Use the body as it arrived. De-duplicate on `webhook-id`, which is signed. Answer 2xx first, work later.
"""

import base64
import hmac
import time

TOLERANCE_S = 300


class NotGenuineError(Exception):
    """The request must not be believed; the message says why."""


def verify(
    body: bytes, headers: dict[str, str], secret: str = "", *, jwks: dict | None = None, now: float | None = None
) -> str:
    """Return the event id of a genuine request. Raises NotGenuineError."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        event_id, timestamp, signatures = (given[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
        age_s = (time.time() if now is None else now) - int(timestamp)
    except (KeyError, ValueError):
        raise NotGenuineError("a header is missing or unreadable") from None
    if abs(age_s) > TOLERANCE_S:
        raise NotGenuineError("too old, or from the future")
    signed = f"{event_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    for token in signatures.split(" "):
        version, _, text = token.partition(",")
        try:
            signature = base64.b64decode(text.encode("ascii"), validate=True)
        except ValueError:
            continue
        if version == "v1" and secret and hmac.compare_digest(hmac.digest(key_of(secret), signed, "sha256"), signature):
            return event_id
        if version == "v1a" and any(_ed25519(key["x"], signature, signed) for key in (jwks or {}).get("keys", ())):
            return event_id
    raise NotGenuineError("no signature matches")


def key_of(secret: str) -> bytes:
    """Return the key of a secret: its base64 without `whsec_`, or its text where it is none."""
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    return key if key and base64.b64encode(key).decode() == text else secret.encode()


def _ed25519(x: str, signature: bytes, signed: bytes) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=")).verify(signature, signed)
    except Exception:  # whatever is the matter with it, it is no signature
        return False
    return True
