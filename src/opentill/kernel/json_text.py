"""Writing JSON: compact, UTF-8, non-ASCII and slashes as they are."""

import json
from decimal import Decimal
from typing import Any, Final

import orjson

_EXACT: Final = json.JSONDecoder(parse_float=Decimal)
_NUMBERS_AS_WRITTEN: Final = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS


def compact(value: object) -> bytes:
    """Write a value of objects, lists, texts, numbers, booleans and None."""
    return orjson.dumps(value)


def canonical(value: object) -> bytes:
    """Write what was read in the one form of all its spellings: sorted keys, each `Number` as it was written."""
    return orjson.dumps(value, _as_written, _NUMBERS_AS_WRITTEN)


def written(text: str) -> orjson.Fragment:
    """Return a part of a value that is JSON already, as `compact` wrote it, to be written as it is."""
    return orjson.Fragment(text)


def read_back(text: bytes) -> Any:
    """Read what `compact` wrote. For what strangers send there is `web.json_body`."""
    return orjson.loads(text)


def read_exact(body: bytes) -> Any:
    """Read what another system wrote, its decimal numbers exact. Raises ValueError and RecursionError."""
    return _EXACT.decode(body.decode(json.detect_encoding(body), "surrogatepass"))


def _as_written(number: object) -> orjson.Fragment:
    return orjson.Fragment(str(number))
