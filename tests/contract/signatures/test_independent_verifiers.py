"""What we sign verifies with a published library and with formulas of the documents, and nothing else does."""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SeededIds
from opentill.kernel.secret import Secret
from opentill.webhooks import endpoint_secrets
from opentill.webhooks.model import Dialect, SignatureFormat, SigningSecrets
from opentill.webhooks.signing import Attempt, headers, standard_form

pytestmark = pytest.mark.bar("S2")

IDS = SeededIds(7, SystemClock())  # the same names of tests in every process
SECRETS = [
    endpoint_secrets.generate(Dialect.MERCHANT, IDS).reveal(),
    endpoint_secrets.generate(Dialect.PIX, IDS).reveal(),
    "brand-default-secret",
    "ação-secreta-longa",
]
BODY = '{"note":"a/b \\"c\\" 💳","n":1.0,"big":1180591620717411303424,"u":"\\u00e9"}'.encode()


def sent(secret: str, body: bytes = BODY, *, at: int | None = None, previous: str | None = None) -> dict[str, str]:
    attempt = Attempt(
        dialect=Dialect.MERCHANT,
        event_id="evt_00112233445566778899aabb",
        event_name="payment.completed",
        delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
        number=1,
        timestamp=int(time.time()) if at is None else at,
        body=body,
        signature_format=SignatureFormat.PREFIXED,
    )
    secrets = SigningSecrets(Secret(secret), None if previous is None else Secret(previous))
    return dict(headers(attempt, secrets))


def library(secret: str) -> Webhook:
    return Webhook(standard_form(Secret(secret)).reveal())


@pytest.mark.parametrize("secret", SECRETS)
def test_the_published_library_verifies_what_we_send(secret: str) -> None:
    library(secret).verify(BODY, sent(secret))


@pytest.mark.checklist("M11")
@pytest.mark.parametrize("secret", SECRETS)
def test_a_receiver_that_follows_the_seed_verifies_what_we_send(secret: str) -> None:
    received = sent(secret)
    expected = "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(received["X-OwnPay-Signature"], expected)


def test_during_an_overlap_a_receiver_with_either_secret_verifies() -> None:
    new, old = SECRETS[0], SECRETS[1]
    received = sent(new, previous=old)
    library(new).verify(BODY, received)
    library(old).verify(BODY, received)
    with pytest.raises(WebhookVerificationError):
        library(SECRETS[2]).verify(BODY, received)


@pytest.mark.parametrize(("age_s", "accepted"), [(-299, True), (299, True), (-310, False), (310, False)])
def test_the_time_is_bound_by_the_signature(age_s: int, accepted: bool) -> None:
    received = sent(SECRETS[0], at=int(datetime.now(UTC).timestamp()) - age_s)
    if accepted:
        library(SECRETS[0]).verify(BODY, received)
    else:
        with pytest.raises(WebhookVerificationError):
            library(SECRETS[0]).verify(BODY, received)


@given(position=st.integers(min_value=0), bit=st.integers(0, 7), where=st.sampled_from(["body", "id", "time", "mac"]))
@pytest.mark.checklist("SG17")
def test_a_flipped_bit_anywhere_is_refused(position: int, bit: int, where: str) -> None:
    received, body = sent(SECRETS[0]), BODY
    match where:
        case "body":
            body = flipped(body, position, bit)
        case "id":
            received["webhook-id"] = flipped(received["webhook-id"].encode(), position, bit).decode("latin-1")
        case "time":
            received["webhook-timestamp"] = str(int(received["webhook-timestamp"]) ^ (1 << bit))
        case "mac":
            raw = base64.b64decode(received["webhook-signature"].removeprefix("v1,"))
            received["webhook-signature"] = "v1," + base64.b64encode(flipped(raw, position, bit)).decode()
    with pytest.raises((WebhookVerificationError, ValueError)):
        library(SECRETS[0]).verify(body, received)


@pytest.mark.checklist("SG1")
@pytest.mark.parametrize("kept", range(44))
def test_a_shortened_signature_is_refused_at_every_length(kept: int) -> None:
    received = sent(SECRETS[0])
    whole = received["webhook-signature"].removeprefix("v1,")
    received["webhook-signature"] = "v1," + whole[:kept]
    with pytest.raises((WebhookVerificationError, ValueError)):
        library(SECRETS[0]).verify(BODY, received)


@pytest.mark.checklist("SG17")
def test_the_signature_of_one_delivery_does_not_fit_another() -> None:
    one, other = sent(SECRETS[0]), sent(SECRETS[0], b'{"other":1}')
    with pytest.raises(WebhookVerificationError):
        library(SECRETS[0]).verify(BODY, {**one, "webhook-signature": other["webhook-signature"]})


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(changed)] ^= 1 << bit
    return bytes(changed)
