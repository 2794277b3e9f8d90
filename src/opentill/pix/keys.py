"""PIX keys: what kind a text is, and the one form we store and send (pix-rail.md §3)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentill.kernel.errors import Refused
from opentill.pix.documents import is_cnpj, is_cpf

EMAIL_MAX: Final = 77  # characters

_AREA_CODE: Final = "(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"
_DOCUMENT_MASK: Final = str.maketrans("", "", ".-/ ")
_MASK: Final = str.maketrans("", "", ".-/ ()")
_CNPJ_SHAPE: Final = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_MOBILE: Final = re.compile(rf"\+55{_AREA_CODE}9[0-9]{{8}}")
_FOREIGN: Final = re.compile(r"\+(?!55)[1-9][0-9]{2,14}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX32: Final = re.compile(r"[0-9a-f]{32}")
_DOMAIN_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"[a-z0-9.!#$&'*+/=?^_`{{|}}~-]+@{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*")


class KeyType(StrEnum):
    """The five kinds of key of the PIX directory. `evp` is the random one."""

    CPF = "cpf"
    CNPJ = "cnpj"
    PHONE = "phone"
    EMAIL = "email"
    EVP = "evp"


@dataclass(frozen=True, slots=True)
class Key:
    """A key in canonical form, the only form that is stored, compared and sent."""

    type: KeyType
    value: str


def detect(text: str) -> Key:
    """Say what kind of key a person wrote, and return it canonical (§3.2). Raises `bad_key`.

    Eleven digits that are valid both as CPF and as mobile are a CPF: a form for people asks for the type.
    """
    given = _plain(text)
    if "@" in given:
        return _read(KeyType.EMAIL, given)
    if _evp(given) is not None:
        return _read(KeyType.EVP, given)
    bare = given.translate(_MASK).upper()
    if "(" in given or bare.startswith("+") or (bare.startswith("0055") and len(bare) == 15):
        return _read(KeyType.PHONE, given)
    if _CNPJ_SHAPE.fullmatch(bare):
        return _read(KeyType.CNPJ, given)
    if len(bare) == 11 and is_cpf(bare):
        return _read(KeyType.CPF, given)
    return _read(KeyType.PHONE, given)


def canonical(text: str, key_type: KeyType) -> Key:
    """Return a key of a type the caller knows, canonical. Only that type's rule applies. Raises `bad_key`."""
    return _read(key_type, _plain(text))


def _plain(text: str) -> str:
    """Return the text trimmed. Only ASCII is ever a key, and some letters only look it after lowering."""
    given = text.strip()
    if not given or not given.isascii():
        raise _bad_key()
    return given


def _read(key_type: KeyType, given: str) -> Key:
    value = _READERS[key_type](given)
    if value is None:
        raise _bad_key()
    return Key(key_type, value)


def _cpf(given: str) -> str | None:
    bare = given.translate(_DOCUMENT_MASK)
    return bare if is_cpf(bare) else None


def _cnpj(given: str) -> str | None:
    bare = given.translate(_DOCUMENT_MASK).upper()
    return bare if is_cnpj(bare) else None


def _phone(given: str) -> str | None:
    bare = given.translate(_MASK)
    if bare.startswith("0055"):
        bare = f"+{bare[2:]}"
    elif len(bare) == 13 and bare.startswith("55"):
        bare = f"+{bare}"
    elif len(bare) == 11 and not bare.startswith("+"):
        bare = f"+55{bare}"
    return bare if _MOBILE.fullmatch(bare) or _FOREIGN.fullmatch(bare) else None


def _email(given: str) -> str | None:
    lowered = given.lower()
    return lowered if len(lowered) <= EMAIL_MAX and _EMAIL.fullmatch(lowered) else None


def _evp(given: str) -> str | None:
    lowered = given.lower()
    if _HEX32.fullmatch(lowered):
        return "-".join((lowered[:8], lowered[8:12], lowered[12:16], lowered[16:20], lowered[20:]))
    return lowered if _UUID.fullmatch(lowered) else None


_READERS: Final = {
    KeyType.CPF: _cpf,
    KeyType.CNPJ: _cnpj,
    KeyType.PHONE: _phone,
    KeyType.EMAIL: _email,
    KeyType.EVP: _evp,
}


def _bad_key() -> Refused:
    return Refused("bad_key", "The PIX key is invalid.")
