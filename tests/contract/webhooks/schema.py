"""Validation of bodies against the published schema bundle (webhooks.md appendix A)."""

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

BUNDLE: dict[str, Any] = json.loads(
    (files("opentill.webhooks") / "schemas" / "bundle.json").read_text(encoding="utf-8")
)


def errors_in(body: bytes, definition: str) -> list[str]:
    """Return what the definition objects to in a body."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": BUNDLE["$defs"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(body))]
