"""PIX keys: the tables of pix-rail.md §3.2 and §3.3."""

import random
import string

import pytest
import stdnum.br.cnpj
import stdnum.br.cpf
import validate_docbr

from opentill.kernel.errors import Refused
from opentill.pix.documents import is_cnpj, is_cpf
from opentill.pix.keys import Key, KeyType, canonical, detect

VALID = {
    "123.456.789-09": ("cpf", "12345678909"),
    "51998259765": ("cpf", "51998259765"),
    "11144477735": ("cpf", "11144477735"),
    "11222333000181": ("cnpj", "11222333000181"),
    "11.222.333/0001-81": ("cnpj", "11222333000181"),
    "12.abc.345/01de-35": ("cnpj", "12ABC34501DE35"),
    "+5551998259765": ("phone", "+5551998259765"),
    "(51) 99825-9765": ("phone", "+5551998259765"),
    "0055 51 99825-9765": ("phone", "+5551998259765"),
    "5551998259765": ("phone", "+5551998259765"),
    "+55 (51) 99825-9765": ("phone", "+5551998259765"),
    "11987654321": ("phone", "+5511987654321"),
    "11 98765-4321": ("phone", "+5511987654321"),
    "+14155552671": ("phone", "+14155552671"),
    "Fulano@Example.com": ("email", "fulano@example.com"),
    "  fulano@example.com\n": ("email", "fulano@example.com"),
    "a" * 65 + "@example.com": ("email", "a" * 65 + "@example.com"),
    "123E4567-E12B-12D1-A456-426655440000": ("evp", "123e4567-e12b-12d1-a456-426655440000"),
    "123e4567e12b12d1a456426655440000": ("evp", "123e4567-e12b-12d1-a456-426655440000"),
}

INVALID = [
    "",
    "   ",
    "12345678901",
    "00000000000",
    "11222333000180",
    "00000000000000",
    "12ABC34501DE36",
    "+551130000000",
    "1130000000",
    "+5510987654321",
    "+5511887654321",
    "fulano%x@example.com",
    "josé@example.com",
    "a@@b.com",
    "a" * 66 + "@example.com",
    "\u212aelvin@example.com",
    "١٢٣٤٥٦٧٨٩٠٩",
    "+1",
    "+12345678901234567",
    "(11) 3000-0000",
    "123e4567-e12b-12d1-a456-42665544000",
    "loja",
]

EXAMPLES = {
    KeyType.CPF: "12345678909",
    KeyType.CNPJ: "12ABC34501DE35",
    KeyType.PHONE: "+5511987654321",
    KeyType.EMAIL: "fulano@example.com",
    KeyType.EVP: "123e4567-e12b-12d1-a456-426655440000",
}


@pytest.mark.checklist("L4")
@pytest.mark.parametrize("text", VALID)
@pytest.mark.checklist("L4")
def test_a_written_key_is_recognised_and_made_canonical(text: str) -> None:
    key_type, value = VALID[text]
    assert detect(text) == Key(KeyType(key_type), value)


@pytest.mark.parametrize("text", INVALID)
@pytest.mark.checklist("L4")
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="invalid") as refused:
        detect(text)
    assert refused.value.code == "bad_key"


@pytest.mark.parametrize("text", VALID)
def test_a_canonical_key_stays_as_it_is(text: str) -> None:
    key = detect(text)
    assert canonical(key.value, key.type) == key


@pytest.mark.checklist("L4")
@pytest.mark.parametrize("asked", KeyType)
@pytest.mark.parametrize("given", KeyType)
@pytest.mark.checklist("L4")
def test_an_explicit_type_takes_only_its_own_form(asked: KeyType, given: KeyType) -> None:
    if asked is given:
        assert canonical(EXAMPLES[given], asked).value == EXAMPLES[given]
    else:
        with pytest.raises(Refused):
            canonical(EXAMPLES[given], asked)


def test_eleven_digits_valid_as_both_are_a_phone_when_the_form_said_so() -> None:
    assert canonical("51998259765", KeyType.PHONE).value == "+5551998259765"


@pytest.mark.checklist("L5")
@pytest.mark.parametrize(
    ("head", "digits"),
    [
        ("112223330001", "81"),
        ("12ABC34501DE", "35"),
        ("AB12CD340001", "84"),
        ("XYZ9876500A1", "90"),
        ("112223330002", "62"),
    ],
)
@pytest.mark.checklist("L5")
def test_a_cnpj_takes_exactly_its_check_digits(head: str, digits: str) -> None:
    fitting = [f"{number:02}" for number in range(100) if is_cnpj(f"{head}{number:02}")]
    assert fitting == [digits]


@pytest.mark.checklist("L5")
def test_a_cpf_takes_exactly_its_check_digits() -> None:
    assert [n for n in range(100) if is_cpf(f"123456789{n:02}")] == [9]
    assert not any(is_cpf(str(digit) * 11) for digit in range(10))


@pytest.mark.checklist("L5")
@pytest.mark.checklist("L5")
def test_two_independent_libraries_agree_about_random_cpfs() -> None:
    judge, draw = validate_docbr.CPF(), random.Random(7)
    for _ in range(10_000):
        number = "".join(draw.choices(string.digits, k=11))
        made = judge.generate()
        assert is_cpf(made)
        assert is_cpf(number) == judge.validate(number) == stdnum.br.cpf.is_valid(number)


@pytest.mark.checklist("L5")
@pytest.mark.checklist("L5")
def test_two_independent_libraries_agree_about_random_cnpjs() -> None:
    judge, draw = validate_docbr.CNPJ(), random.Random(7)
    for _ in range(10_000):
        head = "".join(draw.choices(string.digits + string.ascii_uppercase, k=12))
        real = head + stdnum.br.cnpj.calc_check_digits(head)
        wrong = f"{head}{(int(real[12:]) + draw.randrange(1, 100)) % 100:02}"
        assert is_cnpj(real)
        assert judge.validate(real)
        assert not is_cnpj(wrong)
