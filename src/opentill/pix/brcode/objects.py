"""The flat encoding of a BR Code: identifier, length, value; and its checksum (pix-rail.md §2.1, §2.5)."""

from binascii import crc_hqx
from typing import Final

from opentill.kernel.errors import Refused

PIX: Final = "br.gov.bcb.pix"
NO_LABEL: Final = "***"
VALUE_MAX: Final = 99  # characters
CRC_HEAD: Final = "6304"


class BadCode(Refused):
    """A code that cannot be built or read. `code` is one of the names of pix-rail.md §2.3 and §2.4."""


def put(identifier: str, value: str) -> str:
    """Return one object. The length counts characters. Raises `too_long` above 99."""
    if len(value) > VALUE_MAX:
        raise BadCode("too_long", f"Object {identifier} has {len(value)} characters, more than {VALUE_MAX}.")
    return f"{identifier}{len(value):02}{value}"


def walk(text: str) -> list[tuple[str, str]]:
    """Return identifier and value of each object in order. Raises `bad_tlv` where the text is not whole."""
    found, at = [], 0
    while at < len(text):
        head = text[at : at + 4]
        if len(head) < 4 or not (head.isascii() and head.isdigit()):
            raise BadCode("bad_tlv", f"No identifier and length at character {at}.")
        length = int(head[2:])
        value = text[at + 4 : at + 4 + length]
        if length == 0 or len(value) < length:
            raise BadCode("bad_tlv", f"The object at character {at} is empty or cut off.")
        found.append((head[:2], value))
        at += 4 + length
    return found


def walk_unique(text: str) -> dict[str, str]:
    """Return the objects of a template by identifier. An identifier twice is `bad_tlv`.

    Two readers could disagree about which of the two counts, and one of them pays.
    """
    found = walk(text)
    members = dict(found)
    if len(members) < len(found):
        raise BadCode("bad_tlv", "A template names one object twice.")
    return members


def crc(text: str) -> str:
    """Return the CRC-16/CCITT-FALSE of a text's UTF-8 bytes as four upper-case hex digits.

    Raises `bad_crc` for a text that has no bytes: half a surrogate pair, which JSON can carry.
    """
    try:
        return f"{crc_hqx(text.encode(), 0xFFFF):04X}"
    except UnicodeEncodeError:
        raise BadCode("bad_crc", "The code is not text.") from None
