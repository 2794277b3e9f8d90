"""Reading the fields of a request one by one, in the order of its table; the first fault answers (pix-api.md §8.1)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentill.api.external.call import ExternalCall
from opentill.api.external.errors import missing, wrong
from opentill.kernel.money import Money, from_minor
from opentill.kernel.number import Number
from opentill.pix.model import BRL

CENTAVOS_MAX: Final = 999_999_999_999
WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
DIGITS_MAX: Final = 18  # what is longer is out of every range
EXTERNAL_ID: Final = re.compile(r"[a-zA-Z0-9._:-]{1,128}", re.ASCII)


def text(fields: Mapping[str, Any], name: str, *, characters_max: int | None = None) -> str | None:
    """Return a text, None where it is absent."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, Number):
        raise wrong(name, f"{name} must be a string")
    if characters_max is not None and len(value) > characters_max:
        raise wrong(name, f"{name} must be at most {characters_max} characters")
    return value


def first_of(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the text of the first of several names for a field that is present."""
    for name in names:
        if value := text(fields, name):
            return value
    return None


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, false where it is absent."""
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong(name, f"{name} must be a boolean")
    return value


def whole(value: Any) -> int | None:
    """Return a JSON integer, cut to what any range can hold; None for anything else."""
    if not isinstance(value, Number) or WHOLE.fullmatch(value) is None:
        return None
    return int(value[: DIGITS_MAX + 1])


def amount(fields: Mapping[str, Any]) -> Money:
    """Return the amount of a request, which is in whole centavos (pix-api.md §8.2)."""
    value = fields.get("amount")
    if value is None:
        raise missing("amount")
    centavos = whole(value)
    if centavos is None:
        raise wrong("amount", "amount must be an integer number of centavos")
    if centavos <= 0:
        raise wrong("amount", "amount must be greater than zero")
    if centavos > CENTAVOS_MAX:
        raise wrong("amount", "amount is outside the allowed range")
    return from_minor(centavos, BRL)


def external_id(call: ExternalCall) -> str | None:
    """Return the merchant's own id, trimmed. The installation may have a bad one dropped instead of refused."""
    value = call.fields.get("external_id")
    if value is None:
        return None
    if isinstance(value, str) and not isinstance(value, Number) and EXTERNAL_ID.fullmatch(value.strip()):
        return value.strip()
    if call.dependencies.settings.pix_compat_external_id_invalid == "null":
        return None
    text(call.fields, "external_id")
    raise wrong("external_id", "external_id is invalid")
