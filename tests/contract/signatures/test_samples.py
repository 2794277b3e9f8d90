"""The verifiers we give to receivers' developers, against the vectors and the pitfalls (webhooks.md §6.4, §16.5)."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bar("S2")

EXAMPLES = Path(__file__).parents[3] / "examples"
VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
JWKS = VECTORS["signing_key"]["jwks"]
DELIVERIES = {vector["name"]: vector for vector in VECTORS["deliveries"]}
AT = 1_784_000_000

Verify = Callable[..., bool]


def by_python(body: bytes, headers: dict[str, str], *, secret: str = "", jwks: Any = None, now: float = AT) -> bool:
    """Ask the Python sample."""
    spec = importlib.util.spec_from_file_location("verify_webhook", EXAMPLES / "verify_webhook.py")
    assert spec is not None
    assert spec.loader is not None
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    try:
        return bool(sample.verify(body, headers, secret, jwks=jwks, now=now) == headers["webhook-id"])
    except sample.NotGenuineError:
        return False


def by_node(body: bytes, headers: dict[str, str], *, secret: str = "", jwks: Any = None, now: float = AT) -> bool:
    """Ask the Node sample."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node on this machine")
    given = {"body": body.hex(), "headers": headers, "known": {"secret": secret, "now": now}}
    if jwks is not None:
        given["known"]["jwks"] = jwks
    script = f"""
        import {{ verify }} from {json.dumps((EXAMPLES / "verify_webhook.mjs").as_uri())};
        const {{ body, headers, known }} = {json.dumps(given)};
        try {{ process.stdout.write(verify(Buffer.from(body, "hex"), headers, known)); }}
        catch (fault) {{ if (fault.constructor !== Error) throw fault; }}
    """
    words = [node, "--input-type=module", "-e", script]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout == headers["webhook-id"]


def by_php(body: bytes, headers: dict[str, str], *, secret: str = "", jwks: Any = None, now: float = AT) -> bool:
    """Ask the PHP sample."""
    php = shutil.which("php")
    if php is None:
        pytest.skip("there is no PHP on this machine")
    script = f"""
        require {json.dumps(str(EXAMPLES / "verify_webhook.php"))};
        $given = json_decode(stream_get_contents(STDIN), true);
        try {{ echo opentill_verify(hex2bin($given['body']), $given['headers'], $given['secret'], $given['jwks'],
                                   $given['now']); }}
        catch (RuntimeException $refusal) {{ }}
    """
    given = {"body": body.hex(), "headers": headers, "secret": secret, "jwks": jwks or {}, "now": int(now)}
    done = subprocess.run([php, "-r", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout == headers["webhook-id"]


SAMPLES: dict[str, Verify] = {"python": by_python, "node": by_node, "php": by_php}


@pytest.fixture(params=SAMPLES)
def verify(request: pytest.FixtureRequest) -> Verify:
    return SAMPLES[request.param]


def sent(name: str = "standard") -> tuple[bytes, dict[str, str], str, int]:
    vector = DELIVERIES[name]
    return vector["body"].encode(), vector["headers"], vector["secret"], int(vector["headers"]["webhook-timestamp"])


@pytest.mark.checklist("SG5")
@pytest.mark.parametrize("name", DELIVERIES)
def test_every_documented_delivery_verifies(verify: Verify, name: str) -> None:
    body, headers, secret, now = sent(name)
    assert verify(body, headers, secret=secret, now=now)
    if "v1a," in headers["webhook-signature"]:
        assert verify(body, headers, jwks=JWKS, now=now)
    if "previous_secret" in DELIVERIES[name]:
        assert verify(body, headers, secret=DELIVERIES[name]["previous_secret"], now=now)


@pytest.mark.checklist("SG4")
@pytest.mark.parametrize(("off_s", "accepted"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_the_time_is_checked_on_both_sides(verify: Verify, off_s: int, accepted: bool) -> None:
    body, headers, secret, now = sent()
    assert verify(body, headers, secret=secret, now=now + off_s) is accepted


def test_whatever_was_changed_is_refused(verify: Verify) -> None:
    body, headers, secret, _ = sent()
    assert not verify(body + b"\n", headers, secret=secret, jwks=JWKS)
    assert not verify(body, {**headers, "webhook-id": "evt_0"}, secret=secret, jwks=JWKS)
    assert not verify(body, {**headers, "webhook-timestamp": str(AT + 1)}, secret=secret, jwks=JWKS)
    assert not verify(body, headers, secret="another-secret")
    assert not verify(body, headers)
    assert not verify(body, headers, jwks={"keys": []})


@pytest.mark.checklist("SG3")
@pytest.mark.parametrize("signature", ["", "v1,", "v1", "v1a,", "v2,AAAA", "v1,não", "\u00e9", "v1,AAAA v1a,AAAA", " "])
def test_rubbish_is_refused_and_never_an_error(verify: Verify, signature: str) -> None:
    body, headers, secret, _ = sent()
    assert not verify(body, {**headers, "webhook-signature": signature}, secret=secret, jwks=JWKS)


@pytest.mark.checklist("SG1")
@pytest.mark.parametrize("kept", [0, 1, 10, 20, 40, 43])
def test_a_shortened_signature_is_refused(verify: Verify, kept: int) -> None:
    body, headers, secret, _ = sent()
    short = headers["webhook-signature"].split(" ")[0][: 3 + kept]
    assert not verify(body, {**headers, "webhook-signature": short}, secret=secret)


@pytest.mark.parametrize("missing", ["webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(verify: Verify, missing: str) -> None:
    body, headers, secret, _ = sent()
    assert not verify(body, {name: value for name, value in headers.items() if name != missing}, secret=secret)
