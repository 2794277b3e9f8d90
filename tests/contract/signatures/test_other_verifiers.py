"""Attempts of every dialect before verifiers that share no code with us: Node's crypto, openssl, PyNaCl.

All of them accept what is sent, and refuse it after every tampering of the list (webhooks.md §16.5, SG17).
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SeededIds
from opentill.kernel.secret import Secret
from opentill.webhooks import endpoint_secrets, signing_keys
from opentill.webhooks.model import Dialect, SigningSecrets
from opentill.webhooks.signing import Attempt, headers, standard_form, standard_key
from tests.contract.signatures import library

pytestmark = pytest.mark.bar("S2")

IDS = SeededIds(11, SystemClock())
SEED, OTHER_SEED = IDS.token_bytes(32), IDS.token_bytes(32)
BODY = '{"note":"a/b \\"c\\" 💳","n":1.0,"big":1180591620717411303424,"u":"\\u00e9"}'.encode()
AT = 1_784_000_000
NODE, OPENSSL = shutil.which("node"), shutil.which("openssl")
DIALECTS = {"merchant": Dialect.MERCHANT, "pix": Dialect.PIX, "standard": Dialect.STANDARD}


@dataclass(frozen=True)
class Sent:
    """One attempt as its receiver sees it, and what the receiver knows."""

    dialect: str
    secret: str
    public_key: bytes
    headers: dict[str, str]
    body: bytes

    def with_header(self, name: str, value: str) -> "Sent":
        return replace(self, headers={**self.headers, name: value})

    @property
    def at(self) -> int:
        return int(self.headers["webhook-timestamp"])

    @property
    def signed(self) -> bytes:
        return f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body

    def tokens(self, version: str) -> list[bytes]:
        found = (token.split(",", 1) for token in self.headers["webhook-signature"].split(" "))
        return [base64.b64decode(text) for name, text in found if name == version]

    @property
    def own_header(self) -> str:
        return {"merchant": "X-OwnPay-Signature", "pix": "X-Owem-Signature"}.get(self.dialect, "webhook-signature")


def sent(dialect: str, *, body: bytes = BODY, event_id: str = "evt_00112233445566778899aabb", at: int = AT) -> Sent:
    secret = endpoint_secrets.generate(DIALECTS[dialect], SeededIds(3, SystemClock()))
    attempt = Attempt(
        dialect=DIALECTS[dialect],
        event_id=event_id,
        event_name="payment.completed",
        delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
        number=1,
        timestamp=at,
        body=body,
    )
    seeds = (Secret(base64.b64encode(SEED).decode()),)
    made = headers(attempt, SigningSecrets(secret, seeds=seeds))
    return Sent(dialect, secret.reveal(), signing_keys.public_of(SEED), dict(made), body)


def tampered(good: Sent) -> Iterator[tuple[str, Sent]]:
    """Yield every tampering, by name."""
    other = sent(good.dialect, body=b'{"other":1}', event_id="evt_ffffffffffffffffffffffff", at=good.at + 7)
    for position in (0, len(good.body) // 2, len(good.body) - 1):
        flipped = bytearray(good.body)
        flipped[position] ^= 1
        yield f"body, byte {position}", replace(good, body=bytes(flipped))
    yield "body encoded again", replace(good, body=json.dumps(json.loads(good.body)).encode())
    yield "body with a newline", replace(good, body=good.body + b"\n")
    yield "body of another", replace(good, body=other.body)
    yield "another secret", replace(good, secret="whsec_" + base64.b64encode(bytes(32)).decode())
    yield "signatures of another", replace(good, headers={**good.headers, **_signatures(other)})
    if good.dialect != "merchant":
        yield "timestamp", _later(good)


def tampered_standard(good: Sent) -> Iterator[tuple[str, Sent]]:
    """Yield what only the signature bound to id and time can notice."""
    yield "event id", good.with_header("webhook-id", "evt_00112233445566778899aabc")
    yield "timestamp", good.with_header("webhook-timestamp", str(good.at + 1))
    yield "parts moved over the dot", good.with_header("webhook-timestamp", f"{good.at}.{{")


def _signatures(of: Sent) -> dict[str, str]:
    return {name: value for name, value in of.headers.items() if "signature" in name.lower()}


def _later(good: Sent) -> Sent:
    later = good.with_header("webhook-timestamp", str(good.at + 1))
    return later.with_header("X-Owem-Timestamp", str(good.at + 1)) if good.dialect == "pix" else later


def node(attempts: list[Sent]) -> list[dict[str, Any]]:
    """Return the verdicts of Node's crypto."""
    if NODE is None:
        pytest.skip("there is no Node on this machine")
    given = [
        {
            "dialect": one.dialect,
            "secret": one.secret,
            "public_key": base64.urlsafe_b64encode(one.public_key).rstrip(b"=").decode(),
            "headers": one.headers,
            "body": base64.b64encode(one.body).decode(),
        }
        for one in attempts
    ]
    script = Path(__file__).with_name("verify.mjs")
    done = subprocess.run([NODE, str(script)], input=json.dumps(given), capture_output=True, text=True, check=True)
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    return verdicts


def openssl_hmac(key: bytes, message: bytes) -> bytes:
    if OPENSSL is None:
        pytest.skip("there is no openssl on this machine")
    command = [OPENSSL, "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def by_openssl(one: Sent) -> list[bool]:
    """Return openssl's verdict about the dialect's own signature, and about the standard one."""
    standard = openssl_hmac(standard_key(Secret(one.secret)), one.signed) in one.tokens("v1")
    match one.dialect:
        case "merchant":
            own = "sha256=" + openssl_hmac(one.secret.encode(), one.body).hex()
        case "pix":
            signed = f"{one.headers['X-Owem-Timestamp']}.".encode() + one.body
            own = "sha256=" + openssl_hmac(one.secret.encode(), signed).hex()
        case _:
            return [standard]
    return [own == one.headers[one.own_header], standard]


def openssl_ed25519(one: Sent, folder: Path) -> bool:
    """Return openssl's verdict about the asymmetric token."""
    if OPENSSL is None:
        pytest.skip("there is no openssl on this machine")
    prefix = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of an Ed25519 key
    (token,) = one.tokens("v1a")
    for name, data in (("key", prefix + one.public_key), ("signature", token), ("message", one.signed)):
        (folder / name).write_bytes(data)
    command = [OPENSSL, "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin", "-in", "message"]
    return subprocess.run([*command, "-sigfile", "signature"], cwd=folder, capture_output=True).returncode == 0


def by_nacl(one: Sent) -> bool:
    (token,) = one.tokens("v1a")
    try:
        VerifyKey(one.public_key).verify(one.signed, token)
    except BadSignatureError:
        return False
    return True


@cache
def node_verdicts(dialect: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return Node's verdict about a good attempt, and about each tampering by name. One process for all."""
    good = sent(dialect)
    bad = dict([*tampered(good), *((f"standard: {name}", one) for name, one in tampered_standard(good))])
    first, *rest = node([good, *bad.values()])
    return first, dict(zip(bad, rest, strict=True))


@pytest.mark.checklist("W2")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_node_accepts_what_is_sent(dialect: str) -> None:
    good, _ = node_verdicts(dialect)
    assert good == {"own": True, "standard": [True, True]}


@pytest.mark.checklist("SG6", "SG7", "SG17")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_node_refuses_every_tampering(dialect: str) -> None:
    _, verdicts = node_verdicts(dialect)
    assert len(verdicts) >= 11
    for name, verdict in verdicts.items():
        if name == "another secret":  # the key pair is not the secret's
            assert (verdict["own"] and dialect != "standard", verdict["standard"][0]) == (False, False)
            continue
        assert not any(verdict["standard"]), name
        if not name.startswith("standard: ") and dialect != "standard":
            assert not verdict["own"], name


@pytest.mark.checklist("SG6", "SG7", "SG17")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_published_library_for_node_accepts_what_is_sent_now_and_refuses_every_tampering(dialect: str) -> None:
    good = sent(dialect, at=SystemClock().now() // 1_000_000)
    bad = dict([*tampered(good), *((f"standard: {name}", one) for name, one in tampered_standard(good))])
    del bad["standard: parts moved over the dot"]  # the library takes the number at the front, and signs that
    asked = [(standard_form(Secret(one.secret)).reveal(), one.headers, one.body) for one in (good, *bad.values())]
    first, *rest = library.verdicts(asked)
    assert first
    assert dict(zip(bad, rest, strict=True)) == dict.fromkeys(bad, False)


@pytest.mark.checklist("SG17")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_openssl_accepts_what_is_sent_and_refuses_every_tampering(dialect: str) -> None:
    good = sent(dialect)
    assert all(by_openssl(good))
    for name, bad in tampered(good):
        assert not any(by_openssl(bad)), name
    for name, bad in tampered_standard(good):
        assert not by_openssl(bad)[-1], name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nacl_and_openssl_agree_about_the_asymmetric_signature(dialect: str, tmp_path: Path) -> None:
    good = sent(dialect)
    assert by_nacl(good)
    assert openssl_ed25519(good, tmp_path)
    for name, bad in [*tampered(good), *tampered_standard(good)]:
        if name != "another secret":
            assert not by_nacl(bad), name
    assert not openssl_ed25519(_later(good), tmp_path)


@pytest.mark.checklist("SG19")
def test_one_merchant_s_key_does_not_verify_another_s_events() -> None:
    good = sent("standard")
    assert not by_nacl(replace(good, public_key=signing_keys.public_of(OTHER_SEED)))


@pytest.mark.parametrize("check", [lambda s: by_openssl(s)[0], lambda s: by_openssl(s)[-1]])
@pytest.mark.parametrize("dialect", ["merchant", "pix"])
def test_every_shortened_signature_is_refused(dialect: str, check: Callable[[Sent], bool]) -> None:
    good = sent(dialect)
    whole, standard = good.headers[good.own_header], good.headers["webhook-signature"].split(" ")[0]
    for kept in range(0, 44, 4):
        short = good.with_header(good.own_header, whole[:kept])
        assert not check(short.with_header("webhook-signature", standard[: 3 + kept]))
