"""JSON from strangers: strict, bounded, and with every number as it was written."""

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from opentill.kernel.errors import Refused
from opentill.kernel.json_text import canonical, compact
from opentill.kernel.number import Number

__all__ = ["DEPTH_MAX", "DEPTH_MAX_PIX", "MalformedJson", "canonical", "read", "write"]

DEPTH_MAX: Final = 100  # levels of nesting
DEPTH_MAX_PIX: Final = 32  # pix-api.md §1

write: Final = compact


class MalformedJson(Refused):
    """The body is not the JSON that is expected here."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_JSON", message)


def read(body: bytes, *, depth_max: int = DEPTH_MAX, repeated_keys: bool = True) -> Any:
    """Return the value of a JSON text; each number in it is a `Number`.

    Raises MalformedJson for invalid UTF-8, `NaN`, nesting beyond *depth_max* levels, half surrogate pairs and U+0000,
    which no database text can hold; and where keys are repeated, unless *repeated_keys* (the last one then counts).
    """
    try:
        text = body.decode()
        value = (_DECODER if repeated_keys else _DECODER_OF_UNIQUE).decode(text)
    except UnicodeDecodeError:
        raise MalformedJson("The request body is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise MalformedJson("The request body is not valid JSON.") from None
    if text.count("{") + text.count("[") > depth_max and _depth(value, depth_max) > depth_max:
        raise MalformedJson(f"The request body is nested more than {depth_max} levels deep.")
    if "\\u" in text and any(_forbidden(part) for part in _texts(value)):
        raise MalformedJson("The request body contains U+0000 or half a surrogate pair.")
    return value


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("repeated key")
    return made


_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_not_a_number)
_DECODER_OF_UNIQUE: Final = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=_not_a_number, object_pairs_hook=_unique
)


def _forbidden(text: str) -> bool:
    """Tell what only an escape can smuggle in."""
    return any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _depth(value: Any, limit: int) -> int:
    """Return how deep a value is nested; beyond *limit* levels nobody looks."""
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list):
        inside = value
    else:
        return 0
    if limit == 0:
        return 1
    return 1 + max((_depth(item, limit - 1) for item in inside), default=0)
