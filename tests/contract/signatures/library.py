"""The published verifier library of Standard Webhooks for Node, `npm ci` beside this file."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
SCRIPT: Final = HERE / "library.mjs"


def verdicts(cases: Sequence[tuple[str, Mapping[str, str], bytes]]) -> list[bool]:
    """Return what the library says about each secret, headers and body. Skips where it is missing, except in CI."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "standardwebhooks").is_dir():
        reason = "Node or its library is missing: `npm ci --prefix tests/contract/signatures`"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    given = [
        {"secret": secret, "headers": dict(headers), "body": base64.b64encode(body).decode()}
        for secret, headers, body in cases
    ]
    done = subprocess.run([node, str(SCRIPT)], input=json.dumps(given), capture_output=True, text=True, check=True)
    found: list[bool] = json.loads(done.stdout)
    return found
