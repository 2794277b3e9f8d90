"""CPF and CNPJ: the documents of people and companies (pix-rail.md §3.3).

A CNPJ may hold letters. Neither is ever stored as a number, padded, or stripped of what is not a digit.
"""

import re
from typing import Final

from stdnum.br import cnpj, cpf

_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{12}[0-9]{2}")


def is_cpf(text: str) -> bool:
    """Whether eleven bare digits are a CPF. Eleven equal ones are not, although their check digits fit."""
    return _CPF.fullmatch(text) is not None and len(set(text)) > 1 and bool(cpf.is_valid(text))


def is_cnpj(text: str) -> bool:
    """Whether fourteen bare characters, letters upper case, are a CNPJ."""
    return _CNPJ.fullmatch(text) is not None and bool(cnpj.is_valid(text))


def cnpj_of(head: str) -> str:
    """Return the CNPJ that begins with these twelve characters."""
    return head + str(cnpj.calc_check_digits(head))
