"""CPF and CNPJ: the check digits of people and companies (pix-rail.md §3.3).

A CNPJ may hold letters. Neither is ever stored as a number, padded, or stripped of what is not a digit.
"""

import re
from typing import Final

_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_CNPJ_WEIGHTS: Final = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def is_cpf(text: str) -> bool:
    """Whether eleven bare digits are a CPF."""
    if not _CPF.fullmatch(text) or len(set(text)) == 1:
        return False
    return all(_cpf_digit(text[:length]) == text[length] for length in (9, 10))


def is_cnpj(text: str) -> bool:
    """Whether fourteen bare characters, letters upper case, are a CNPJ."""
    if not _CNPJ.fullmatch(text) or text == "0" * 14:
        return False
    return all(_cnpj_digit(text[:length]) == text[length] for length in (12, 13))


def cnpj_of(head: str) -> str:
    """Return the CNPJ that begins with these twelve characters."""
    head += _cnpj_digit(head)
    return head + _cnpj_digit(head)


def _cpf_digit(head: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(head, range(len(head) + 1, 1, -1), strict=True))
    return str(total * 10 % 11 % 10)


def _cnpj_digit(head: str) -> str:
    weights = _CNPJ_WEIGHTS[-len(head) :]
    total = sum((ord(char) - 48) * weight for char, weight in zip(head, weights, strict=True))
    rest = total % 11
    return "0" if rest < 2 else str(11 - rest)
