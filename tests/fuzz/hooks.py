"""What schemathesis cannot know of the PIX API: bodies are signed under the client secret (pix-api.md §5).

Loaded by schemathesis (SCHEMATHESIS_HOOKS). Without a secret in the environment nothing is signed.
"""

import hashlib
import hmac
import json
import os
from typing import Any

import schemathesis

SECRET = os.environ.get("FUZZ_CLIENT_SECRET", "")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Write the body as bytes and sign them. The document describes bodies with keys in snake_case."""
    if case.headers and "X-Key-Case" in case.headers:
        del case.headers["X-Key-Case"]
    if not SECRET or case.method.upper() not in ("POST", "PATCH"):
        return
    body = case.body
    if not isinstance(body, bytes):
        try:
            body = json.dumps(body).encode() if isinstance(body, (dict, list, str, int, float)) else b""
        except ValueError:
            return
        case.body = body
    case.headers = {**(case.headers or {}), "hmac": hmac.new(SECRET.encode(), body, hashlib.sha512).hexdigest()}
