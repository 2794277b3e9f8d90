"""Reading codes: strict about what they pay, patient about how they are written (pix-rail.md §2.4)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.pix.brcode.objects import NO_LABEL, PIX, BadCode, crc, walk, walk_unique

CHARACTERS_MIN: Final = 30
CHARACTERS_MAX: Final = 1024

_ACCOUNTS: Final = frozenset(map(str, range(26, 52)))
_RECURRENCES: Final = frozenset(map(str, range(80, 100)))
_AMOUNT: Final = re.compile(r"([0-9]{1,10})(?:\.([0-9]{0,2}))?")


class Kind(StrEnum):
    """What a payer's bank does with the code: pay a key, fetch a charge, or only sign a recurrence."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    RECURRENCE = "recurrence"


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was read. Texts are as written in it; a dynamic code never has a txid."""

    kind: Kind
    key: str | None
    url: str | None
    recurrence_url: str | None
    amount_centavos: int | None
    txid: str | None
    name: str
    city: str
    text: str | None
    facilitator: str | None

    @property
    def with_recurrence(self) -> bool:
        """Whether paying it may also sign a recurrence."""
        return self.kind is not Kind.RECURRENCE and self.recurrence_url is not None


def parse(text: str) -> Code:
    """Read a code. Raises `BadCode` named by the first fault, in the order of pix-rail.md §2.4."""
    trimmed = text.strip()
    objects = _framed(trimmed)
    _verify_crc(trimmed, objects["63"])
    account = _pix_account(objects)
    recurrence_url = _recurrence_url(objects)
    kind = _kind(account, recurrence_url)
    _require_members(objects)
    return Code(
        kind=kind,
        key=account.get("01"),
        url=account.get("25"),
        recurrence_url=recurrence_url,
        amount_centavos=_amount(objects.get("54")),
        txid=_label(objects) if kind is Kind.STATIC else None,
        name=objects["59"],
        city=objects["60"],
        text=account.get("02"),
        facilitator=account.get("03"),
    )


def _framed(text: str) -> dict[str, str]:
    """Return the top-level objects of a text that begins and ends as a BR Code does."""
    if not CHARACTERS_MIN <= len(text) <= CHARACTERS_MAX:
        raise BadCode("bad_length", f"A code has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.")
    found = walk(text)
    objects = dict(found)
    if len(objects) < len(found):
        raise BadCode("duplicate_id", "The code names one object twice.")
    if found[0] != ("00", "01") or found[-1][0] != "63" or len(found[-1][1]) != 4:
        raise BadCode("bad_header", "The code must begin with its format and end with its checksum.")
    return objects


def _verify_crc(text: str, given: str) -> None:
    if crc(text[:-4]) != given.upper():
        raise BadCode("bad_crc", "The checksum is wrong: the code was changed or cut.")


def _pix_account(objects: dict[str, str]) -> dict[str, str]:
    for identifier in sorted(_ACCOUNTS & objects.keys()):
        value = objects[identifier]
        try:
            members = walk_unique(value)
        except BadCode:
            if PIX in value.lower():
                raise
            continue
        if members.get("00", "").lower() == PIX:
            return members
    raise BadCode("not_pix", "The code is not a PIX code.")


def _recurrence_url(objects: dict[str, str]) -> str | None:
    for identifier in sorted(_RECURRENCES & objects.keys()):
        try:
            members = walk_unique(objects[identifier])
        except BadCode:
            continue
        if members.get("00", "").lower() == PIX and "25" in members:
            return members["25"]
    return None


def _kind(account: dict[str, str], recurrence_url: str | None) -> Kind:
    if "01" in account and "25" in account:
        raise BadCode("key_and_url", "The code names both a key and a location.")
    if "01" in account:
        return Kind.STATIC
    if "25" in account:
        return Kind.DYNAMIC
    if recurrence_url is None:
        raise BadCode("no_key_or_url", "The code names neither a key nor a location.")
    return Kind.RECURRENCE


def _require_members(objects: dict[str, str]) -> None:
    if objects.get("53") != "986":
        raise BadCode("bad_currency", "The code is not in Brazilian reais.")
    if objects.get("58") != "BR":
        raise BadCode("bad_country", "The code is not Brazilian.")
    if not {"52", "59", "60"} <= objects.keys():
        raise BadCode("missing_field", "The code lacks its category, name or city.")


def _amount(text: str | None) -> int | None:
    if text is None:
        return None
    matched = _AMOUNT.fullmatch(text)
    if matched is None:
        raise BadCode("bad_amount", "The amount is not a decimal number with at most two decimals.")
    return int(matched[1]) * 100 + int((matched[2] or "").ljust(2, "0"))


def _label(objects: dict[str, str]) -> str | None:
    label = walk_unique(objects.get("62", "")).get("05")
    return None if label == NO_LABEL else label
