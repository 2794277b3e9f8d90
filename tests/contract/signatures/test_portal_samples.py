"""The code the portal shows verifies what we send, and refuses what was changed."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.secret import Secret
from opentill.portal import view
from opentill.webhooks.model import Dialect, SigningSecrets
from opentill.webhooks.signing import Attempt, headers

SECRETS = ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "brand-default-secret", "ação-secreta-longa")
BODY = '{"type":"payment.completed","note":"Zoë 💳 a/b"}'.encode()
NODE = """
import { verify } from "./sample.mjs";
const cases = JSON.parse(process.argv[2]);
console.log(JSON.stringify(cases.map(([h, b, s]) => verify(h, Buffer.from(b, "utf8"), s))));
"""


def sent(secret: str, *, at: int) -> dict[str, str]:
    attempt = Attempt(
        dialect=Dialect.STANDARD,
        event_id="evt_0197f3c20000a1b2c3d4e5f6",
        event_name="payment.completed",
        delivery_id="dlv_0197f3c200010a0b0c0d0e0f",
        number=1,
        timestamp=at,
        body=BODY,
    )
    return {name.lower(): value for name, value in headers(attempt, SigningSecrets(Secret(secret)))}


def cases() -> list[tuple[dict[str, str], str, str, bool]]:
    """Return requests with what a verifier must say of them."""
    now, found = int(time.time()), []
    for secret in SECRETS:
        good = sent(secret, at=now)
        found += [
            (good, BODY.decode(), secret, True),
            (good, BODY.decode() + " ", secret, False),
            (good, BODY.decode(), secret + "x", False),
            ({**good, "webhook-id": "evt_0197f3c20000a1b2c3d4e5f7"}, BODY.decode(), secret, False),
            ({**good, "webhook-timestamp": str(now + 1)}, BODY.decode(), secret, False),
            ({**good, "webhook-signature": good["webhook-signature"][:-4]}, BODY.decode(), secret, False),
            ({**good, "webhook-signature": "v1,é"}, BODY.decode(), secret, False),
            (sent(secret, at=now - 310), BODY.decode(), secret, False),
            (sent(secret, at=now + 310), BODY.decode(), secret, False),
        ]
    return found


def test_the_python_sample() -> None:
    known: dict[str, Any] = {}
    exec(view.samples()["Python"], known)
    assert [known["verify"](h, b.encode(), s) for h, b, s, _ in cases()] == [wanted for *_, wanted in cases()]


def test_the_node_sample(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine")
    (tmp_path / "sample.mjs").write_text(view.samples()["Node"])
    (tmp_path / "main.mjs").write_text(NODE)
    asked = json.dumps([[h, b, s] for h, b, s, _ in cases()])
    done = subprocess.run(
        [node, "main.mjs", asked], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout) == [wanted for *_, wanted in cases()]


def test_the_php_sample(tmp_path: Path) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("no PHP on this machine")
    main = (
        view.samples()["PHP"]
        + """
$cases = json_decode($argv[1], true);
echo json_encode(array_map(fn($c) => verify($c[0], $c[1], $c[2]), $cases));
"""
    )
    (tmp_path / "main.php").write_text(main)
    asked = json.dumps([[h, b, s] for h, b, s, _ in cases()])
    done = subprocess.run(
        [php, "main.php", asked], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout) == [wanted for *_, wanted in cases()]
