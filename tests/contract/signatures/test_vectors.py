"""Signatures against the published vectors: webhooks.md §17, merchant-api.md §14.8, pix-api.md §17.3."""

import hashlib
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret
from opentill.webhooks import endpoint_secrets, signing_keys
from opentill.webhooks.model import Dialect, SignatureFormat, SigningKey, SigningSecrets
from opentill.webhooks.signing import (
    Attempt,
    body_hex,
    headers,
    standard_form,
    standard_key,
    standard_signature,
    timed_signature,
)

pytestmark = pytest.mark.bar("S2")

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
GOLDEN = Path(__file__).parents[1] / "webhooks" / "golden"

MERCHANT_VECTORS = {
    "V1": (
        "brand-default-secret",
        '{"event":"payment.completed","transaction_id":"txn_0123456789abcdef","order_id":"ORD-1","amount":"99.99",'
        '"currency":"USD","status":"completed"}',
        143,
        "e799ac12359920cb9900e418fe089f36284f9abf22a278291847ba1c857d9947",
        "c4cd100e11a3e173419153d4d079b95a669f1416241db35b5786fe7728c685be",
    ),
    "V2": (
        "5f1d7a84db00d2fce00b31a7fc73224f",
        '{"event":"payment.failed","transaction_id":"txn_00ffee00ddcc00bb","reference":"1042","amount":"1500.00",'
        '"currency":"BDT","status":"failed","customer":{"name":"Zoë Rahmán রহিম","email":"zoe@example.com",'
        '"phone":""},"data":{"note":"a/b \\"c\\""}}',
        252,
        "09f7f72f91a115add9ce86e64bfcdac4e92c9c21ac999f8fa3254164f87b2808",
        "d9a4d6334435921e928cd418959adb413bdcaf4ab402dc8eefb0dce935d6710b",
    ),
    "V3": (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        '{"event":"refund.completed","id":"evt_00112233445566778899aabb","transaction_id":"txn_fedcba9876543210",'
        '"amount":1200,"currency":"JPY","status":"completed","refund":{"amount":200}}',
        180,
        "a1377bd1bf52569e25602a498bf67a3d4a4e448c4faa012e5cb26f2eff7c9f51",
        "5925afde8a89c3892abc0abf10728aea575d2a9682ce74063e1417c831e4622d",
    ),
}

W1_BODY = (
    b'{"event_type":"webhook.test","status":"test","account_id":10011,'
    b'"entity_id":"00000000-0000-4000-8000-000000000001"}'
)
SEED = Secret(b64encode(bytes.fromhex(VECTORS["signing_key"]["seed_hex"])).decode())
DIALECTS = {"merchant": Dialect.MERCHANT, "pix": Dialect.PIX, "standard": Dialect.STANDARD}


@pytest.mark.checklist("M50")
@pytest.mark.parametrize("name", MERCHANT_VECTORS)
def test_a_merchant_body_signs_as_documented(name: str) -> None:
    secret, body, size, sha256, expected = MERCHANT_VECTORS[name]
    raw = body.encode()
    assert (len(raw), hashlib.sha256(raw).hexdigest()) == (size, sha256)
    assert body_hex(Secret(secret), raw) == expected
    for form, value in ((SignatureFormat.PREFIXED, f"sha256={expected}"), (SignatureFormat.BARE, expected)):
        made = dict(headers(attempt(Dialect.MERCHANT, raw, signature_format=form), SigningSecrets(Secret(secret))))
        assert made["X-OwnPay-Signature"] == made["X-Signature"] == value
        assert made["X-OP-Signature"] == expected


@pytest.mark.checklist("M50")
def test_the_standard_signature_of_a_merchant_body_is_as_documented() -> None:
    secret, body, *_ = MERCHANT_VECTORS["V3"]
    made = standard_signature([Secret(secret)], "evt_00112233445566778899aabb", 1784000000, body.encode())
    assert made == "v1,nHwUnHkdeyQNVhQnRJubEeI/CUifLH24keUEw0dirYc="


@pytest.mark.checklist("X46")
@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "expected"),
    [
        (
            "00112233445566778899aabbccddeeff",
            1712160000,
            W1_BODY,
            "sha256=4bf9e3ebfe342910b22edf1c6e1f4b8c9cda0d29516d96ea0bf83038302e36e1",
        ),
        (
            "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4",
            1772897401,
            (GOLDEN / "pix-1" / "pix.charge.paid.json").read_bytes(),
            "sha256=9cd5f44be89efef8bd4c7c6d10a79d8009df29fc374dd8d515a95a1169a0d0c2",
        ),
    ],
    ids=["W1", "W2"],
)
def test_a_pix_body_signs_as_documented(secret: str, timestamp: int, body: bytes, expected: str) -> None:
    assert timed_signature(Secret(secret), timestamp, body) == expected


def test_the_published_standard_vector_holds() -> None:
    vector = VECTORS["public_vectors"][0]
    made = standard_signature([Secret(vector["secret"])], vector["id"], vector["timestamp"], vector["body"].encode())
    assert made == vector["v1"]


def test_the_published_asymmetric_vector_holds() -> None:
    vector = VECTORS["public_vectors"][1]
    seed = Secret(b64encode(bytes.fromhex(vector["seed_hex"])).decode())
    body = vector["body"].encode()
    assert standard_signature([], vector["id"], vector["timestamp"], body, seeds=[seed]) == vector["v1a"]
    public = signing_keys.public_of(bytes.fromhex(vector["seed_hex"]))
    assert signing_keys.PUBLIC_PREFIX + b64encode(public).decode() == vector["public_key"]


@pytest.mark.checklist("SG20")
def test_a_key_is_published_as_documented_and_without_its_private_part() -> None:
    seed = bytes.fromhex(VECTORS["signing_key"]["seed_hex"])
    public = signing_keys.PUBLIC_PREFIX + b64encode(signing_keys.public_of(seed)).decode()
    kid = signing_keys.thumbprint(signing_keys.public_of(seed))
    moment = Instant(0)
    key = SigningKey(kid, Owner(1, Mode.LIVE), "", public, moment, moment, None)

    assert public == VECTORS["signing_key"]["public"]
    assert signing_keys.jwks([key]) == VECTORS["signing_key"]["jwks"]
    assert "d" not in signing_keys.jwks([key])["keys"][0]
    exported = b64decode(signing_keys.exported(seed).reveal().removeprefix("whsk_"))
    assert exported == seed + signing_keys.public_of(seed)


@pytest.mark.parametrize("vector", VECTORS["standard_keys"], ids=lambda v: v["secret"])
@pytest.mark.checklist("SG12")
def test_a_secret_has_the_key_and_the_form_that_libraries_take(vector: dict[str, str]) -> None:
    secret = Secret(vector["secret"])
    assert standard_key(secret).hex() == vector["key_hex"]
    assert standard_form(secret).reveal() == vector["shown_form"]
    assert standard_key(standard_form(secret)) == standard_key(secret)


@pytest.mark.checklist("SG2")
@pytest.mark.parametrize("text", VECTORS["refused_secrets"])
@pytest.mark.parametrize("dialect", Dialect)
def test_a_weak_or_broken_secret_is_refused_on_every_surface(text: str, dialect: Dialect) -> None:
    assert endpoint_secrets.fault_of(text, dialect) is not None


@pytest.mark.parametrize("vector", VECTORS["deliveries"], ids=lambda v: v["name"])
def test_an_attempt_carries_the_documented_headers(vector: dict[str, Any]) -> None:
    body = vector["body"].encode()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (vector["body_bytes"], vector["body_sha256"])
    expected: dict[str, str] = dict(vector["headers"])
    previous = vector.get("previous_secret")
    seeds = (SEED,) if "v1a," in expected["webhook-signature"] else ()
    secrets = SigningSecrets(Secret(vector["secret"]), None if previous is None else Secret(previous), seeds)
    event = json.loads(vector["body"])
    number = expected.get("X-OwnPay-Attempt") or expected.get("X-OpenTill-Attempt") or "1"
    made = headers(
        Attempt(
            dialect=DIALECTS[vector["dialect"]],
            event_id=expected["webhook-id"],
            event_name=event.get("event") or event.get("event_type") or event["type"],
            delivery_id=expected.get("X-OwnPay-Delivery") or expected.get("X-OpenTill-Delivery-Id") or "dlv_0",
            number=int(number),
            timestamp=int(expected["webhook-timestamp"]),
            body=body,
            signature_format=SignatureFormat.BARE if vector.get("signature_format") else SignatureFormat.PREFIXED,
        ),
        secrets,
    )
    assert {name: dict(made).get(name) for name in expected} == expected
    assert len(made) == len(dict(made)), "no header is sent twice"


@pytest.mark.checklist("SG15")
@pytest.mark.parametrize("name", ["X-OwnPay-Signature-Previous", "X-Owem-Signature-Previous"])
@pytest.mark.parametrize("dialect", [Dialect.MERCHANT, Dialect.PIX])
def test_outside_an_overlap_there_is_no_previous_signature(name: str, dialect: Dialect) -> None:
    made = dict(headers(attempt(dialect, b"{}"), SigningSecrets(Secret("a-secret-of-some-length"))))
    assert name not in made
    assert " " not in made["webhook-signature"]


def test_an_owner_may_do_without_the_standard_headers() -> None:
    made = dict(headers(attempt(Dialect.MERCHANT, b"{}", standard_headers=False), SigningSecrets(Secret("12345678"))))
    assert not [name for name in made if name.startswith("webhook-")]


def attempt(
    dialect: Dialect,
    body: bytes,
    *,
    signature_format: SignatureFormat = SignatureFormat.PREFIXED,
    standard_headers: bool = True,
) -> Attempt:
    return Attempt(
        dialect=dialect,
        event_id="evt_00112233445566778899aabb",
        event_name="payment.completed",
        delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
        number=1,
        timestamp=1784000000,
        body=body,
        signature_format=signature_format,
        standard_headers=standard_headers,
    )
