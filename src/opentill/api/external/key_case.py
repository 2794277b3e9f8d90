"""X-Key-Case: keys in camelCase at the caller's end, in snake_case at ours (pix-api.md §7)."""

import re
from collections.abc import Callable
from typing import Any, Final

CASES: Final = ("snake_case", "camelCase")
_CAPITAL: Final = re.compile("[A-Z]")
_JOINT: Final = re.compile("_(.)")


class EqualKeysError(ValueError):
    """Two keys of an object become one."""


def snake(value: Any) -> Any:
    """Turn the keys of a request from camelCase, at every level. Raises EqualKeysError."""
    return _renamed(value, lambda key: _CAPITAL.sub(lambda found: "_" + found[0].lower(), key))


def camel(value: Any) -> Any:
    """Turn the keys of an answer into camelCase, at every level; values are left alone."""
    return _renamed(value, lambda key: _JOINT.sub(lambda found: found[1].upper(), key))


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        made = {rename(key): _renamed(item, rename) for key, item in value.items()}
        if len(made) != len(value):
            raise EqualKeysError
        return made
    if isinstance(value, list):
        return [_renamed(item, rename) for item in value]
    return value
