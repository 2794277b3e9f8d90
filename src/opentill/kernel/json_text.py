"""Writing JSON: compact, UTF-8, non-ASCII and slashes as they are."""

from typing import Final

import orjson

_NUMBERS_AS_WRITTEN: Final = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS


def compact(value: object) -> bytes:
    """Write a value of objects, lists, texts, numbers, booleans and None."""
    return orjson.dumps(value)


def canonical(value: object) -> bytes:
    """Write what was read in the one form of all its spellings: sorted keys, each `Number` as it was written."""
    return orjson.dumps(value, _as_written, _NUMBERS_AS_WRITTEN)


def _as_written(number: object) -> orjson.Fragment:
    return orjson.Fragment(str(number))
