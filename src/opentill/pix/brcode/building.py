"""Building codes: static ones of our own, dynamic ones around a provider's location (pix-rail.md §2.3)."""

import re
import unicodedata
from typing import Final

from opentill.kernel.errors import Refused
from opentill.pix import keys
from opentill.pix.brcode.objects import CRC_HEAD, NO_LABEL, PIX, BadCode, crc, put

NAME_MAX: Final = 25  # characters
CITY_MAX: Final = 15  # characters
URL_MAX: Final = 77  # characters
CENTAVOS_MAX: Final = 999_999_999_999  # thirteen characters: 9999999999.99

FORMAT: Final = put("00", "01")
PAY_ONCE: Final = put("01", "12")
GUI: Final = put("00", PIX)
CATEGORY_AND_CURRENCY: Final = put("52", "0000") + put("53", "986")
COUNTRY: Final = put("58", "BR")

_LABEL: Final = re.compile(r"[a-zA-Z0-9]{1,25}")
_URL: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]+)?/[\x21-\x7e]+")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")


def build_static(
    *,
    key: str,
    name: str,
    city: str,
    amount_centavos: int | None = None,
    label: str | None = None,
    text: str | None = None,
) -> str:
    """Return a code that pays *key* directly. Without an amount the payer types it.

    *label* comes back as the receipt's txid; *text* is shown to the payer.
    Raises `BadCode`: `bad_key`, `bad_text`, `bad_amount`, `bad_txid`, `too_long`.
    """
    account = GUI + put("01", _canonical_key(key))
    if text is not None:
        account += put("02", shown_text(text))
    return _whole(FORMAT + put("26", account), amount_centavos, name, city, _checked_label(label))


def build_dynamic(*, url: str, name: str, city: str, amount_centavos: int | None = None) -> str:
    """Return a pay-once code around a provider's location, host and path without scheme.

    The amount only informs a reader: the payer's bank takes it from the location.
    Raises `BadCode`: `bad_url`, `bad_text`, `bad_amount`, `too_long`.
    """
    if not _URL.fullmatch(url):
        raise BadCode("bad_url", "The location must be host and path, without a scheme.")
    if len(url) > URL_MAX:
        raise BadCode("too_long", f"The location has more than {URL_MAX} characters.")
    account = GUI + put("25", url)
    return _whole(FORMAT + PAY_ONCE + put("26", account), amount_centavos, name, city, NO_LABEL)


def shown_text(text: str, limit: int | None = None) -> str:
    """Return a text as a code can carry it: no accents, single blanks, cut to *limit* characters.

    Case is kept. Raises `bad_text` when nothing is left or a character has no plain form.
    """
    plain = " ".join((text if text.isascii() else _bare(text)).split())
    if not _PRINTABLE.fullmatch(plain):
        raise BadCode("bad_text", "The text is empty or has characters a PIX code cannot carry.")
    return plain[:limit].rstrip()


def _bare(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _whole(head: str, amount_centavos: int | None, name: str, city: str, label: str) -> str:
    code = (
        head
        + CATEGORY_AND_CURRENCY
        + _amount(amount_centavos)
        + COUNTRY
        + put("59", shown_text(name, NAME_MAX))
        + put("60", shown_text(city, CITY_MAX))
        + put("62", put("05", label))
        + CRC_HEAD
    )
    return code + crc(code)


def _amount(centavos: int | None) -> str:
    if centavos is None:
        return ""
    if not 1 <= centavos <= CENTAVOS_MAX:
        raise BadCode("bad_amount", "The amount must be from 0.01 to 9999999999.99.")
    return put("54", f"{centavos // 100}.{centavos % 100:02}")


def _checked_label(label: str | None) -> str:
    if label is None:
        return NO_LABEL
    if not _LABEL.fullmatch(label):
        raise BadCode("bad_txid", "The label must be 1 to 25 letters or digits.")
    return label


def _canonical_key(key: str) -> str:
    try:
        return keys.detect(key).value
    except Refused as refused:
        raise BadCode(refused.code, refused.message) from None
