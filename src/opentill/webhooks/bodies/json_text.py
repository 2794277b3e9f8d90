"""Fragments of JSON: compact, UTF-8, nothing escaped that need not be."""

import json
from collections.abc import Iterable
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def text_of(value: Any) -> str:
    """Encode any JSON value."""
    return _ENCODER.encode(value)


def object_of(fields: Iterable[tuple[str, str]]) -> str:
    """Join names with values that are encoded already, in the order given."""
    return "{" + ",".join(f'"{name}":{encoded}' for name, encoded in fields) + "}"


NULL = "null"
EMPTY = '""'
