"""BR Codes: every vector of pix-rail.md §2.6, built and read, and what may never happen to one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentill.pix.brcode import BadCode, Code, Kind, build_dynamic, build_static, crc, parse
from tests.unit.pix.vectors import CODES, REFUSED, TOLERATED

EVP = "123e4567-e12b-12d1-a456-426655440000"
CPF = "12345678909"
PERSON = {"name": "Fulano de Tal", "city": "BRASILIA"}
SHOP = {"name": "Loja Exemplo", "city": "SAO PAULO"}
CHARGE_URL = "pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd441"
DUE_URL = "pix.example.com/qr/v2/cobv/1e6c54d3ec9449b7a7fc53b6b0f998e7"
SANDBOX_URL = "pix.sandbox.opentill.test/qr/v2/8b3da2f39a4140d1a91abd93113bd441"

BUILT = {
    "A": lambda: build_static(key=EVP, **PERSON),
    "B": lambda: build_static(key=CPF, amount_centavos=12345, **PERSON),
    "C": lambda: build_static(key="+5511987654321", amount_centavos=1000, label="PEDIDO0001", **SHOP),
    "D": lambda: build_static(
        key="11222333000181",
        amount_centavos=100,
        text="Pedido 42",
        label="ABC123",
        name="EMPRESA EXEMPLO LTDA",
        city="RIO DE JANEIRO",
    ),
    "D2": lambda: build_static(
        key="12ABC34501DE35",
        amount_centavos=25090,
        label="NF2026000123",
        name="EMPRESA ALFA LTDA",
        city="BELO HORIZONTE",
    ),
    "E": lambda: build_static(key="fulano@example.com", name="Fulano de Tal", city="CURITIBA"),
    "Z": lambda: build_static(key=CPF, amount_centavos=100, label="Z0294", **PERSON),
    "Q": lambda: build_static(key=EVP, amount_centavos=3000, label="k3v9q0x7m2b5n8c1z4l6j0h2g", **SHOP),
    "R": lambda: build_static(key=EVP, amount_centavos=100, text="x" * 37, **PERSON),
    "V": lambda: build_static(key=CPF, amount_centavos=1, label="A" * 25, name="João Açaí", city="São José dos Campos"),
    "F": lambda: build_dynamic(url=CHARGE_URL, **PERSON),
    "F2": lambda: build_dynamic(url=DUE_URL, amount_centavos=12345, **PERSON),
    "F3": lambda: build_dynamic(url=SANDBOX_URL, **SHOP),
}

REC = "pix.example.com/qr/v2/rec/"
READ = {
    "A": {"kind": "static", "key": EVP, "amount_centavos": None, "txid": None, "name": "Fulano de Tal"},
    "B": {"kind": "static", "key": CPF, "amount_centavos": 12345, "txid": None},
    "C": {"key": "+5511987654321", "amount_centavos": 1000, "txid": "PEDIDO0001", "city": "SAO PAULO"},
    "D": {"key": "11222333000181", "amount_centavos": 100, "text": "Pedido 42", "txid": "ABC123"},
    "D2": {"key": "12ABC34501DE35", "amount_centavos": 25090, "txid": "NF2026000123"},
    "E": {"key": "fulano@example.com", "city": "CURITIBA"},
    "Z": {"txid": "Z0294", "amount_centavos": 100},
    "K": {"key": CPF, "txid": "ABC", "amount_centavos": 100},
    "Q": {"txid": "k3v9q0x7m2b5n8c1z4l6j0h2g", "amount_centavos": 3000},
    "R": {"text": "x" * 37, "key": EVP},
    "V": {"name": "Joao Acai", "city": "Sao Jose dos Ca", "amount_centavos": 1, "txid": "A" * 25},
    "S": {"facilitator": "12345678", "amount_centavos": 0, "key": CPF},
    "F": {"kind": "dynamic", "url": CHARGE_URL, "key": None, "txid": None, "with_recurrence": False},
    "F2": {"kind": "dynamic", "url": DUE_URL, "amount_centavos": 12345},
    "F3": {"kind": "dynamic", "url": SANDBOX_URL, "name": "Loja Exemplo"},
    "G": {"kind": "dynamic", "recurrence_url": REC + "94ed2badcbc04c15b0bb7fa353194890", "with_recurrence": True},
    "G2": {"kind": "dynamic", "recurrence_url": REC + "3ffa640fa4f14080adccb949fa2dc0d0", "url": DUE_URL},
    "H": {"kind": "recurrence", "recurrence_url": REC + "2353c790eefb11eaadc10242ac120002", "url": None},
}

TOLERATED_READ = {
    "T1": {"key": CPF, "txid": "ABC", "amount_centavos": 100},
    "T2": {"amount_centavos": 100},
    "T3": {"txid": None, "amount_centavos": 100},
    "T4": {"key": CPF},
    "T5": {"name": "ESTABELECIMENTO COM NOME LONGO"},
    "T6": {"kind": "static", "key": CPF},
    "T7": {"key": CPF, "amount_centavos": 100},
    "T8": {"name": "João"},
    "T9": {"key": CPF, "city": "BRASILIA"},
    "T10": {"kind": "static", "key": CPF},
}


def matches(code: Code, expected: dict[str, object]) -> bool:
    return {name: getattr(code, name) for name in expected} == expected


def refusal(text: str) -> str:
    with pytest.raises(BadCode) as refused:
        parse(text)
    return refused.value.code


def build_refusal(**given: object) -> str:
    with pytest.raises(BadCode) as refused:
        build_static(**({"key": CPF, "amount_centavos": 100} | PERSON | given))
    return refused.value.code


@pytest.mark.checklist("L1")
@pytest.mark.checklist("L1")
def test_the_checksum_gives_the_check_value_of_its_standard() -> None:
    assert crc("123456789") == "29B1"


@pytest.mark.checklist("L1")
@pytest.mark.parametrize("name", BUILT)
@pytest.mark.checklist("L1")
def test_a_vector_builds_byte_for_byte(name: str) -> None:
    assert BUILT[name]() == CODES[name]


@pytest.mark.checklist("L1")
@pytest.mark.parametrize("name", CODES)
@pytest.mark.checklist("L1")
def test_a_vector_reads_as_its_description_says(name: str) -> None:
    assert matches(parse(CODES[name]), READ[name])


@pytest.mark.checklist("L1")
@pytest.mark.parametrize("name", TOLERATED)
@pytest.mark.checklist("L1")
def test_a_badly_written_but_clear_code_reads(name: str) -> None:
    assert matches(parse(TOLERATED[name]), TOLERATED_READ[name])


@pytest.mark.parametrize(
    "text", [CODES["A"][:-4] + "1d3d", f" \r\n{CODES['A']}\n\t "], ids=["lower-case checksum", "blanks around"]
)
def test_vector_a_reads_however_it_was_pasted(text: str) -> None:
    assert parse(text) == parse(CODES["A"])


@pytest.mark.checklist("L1")
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.checklist("L1")
def test_a_wrong_code_is_refused_by_its_name(name: str) -> None:
    error, text = REFUSED[name]
    assert refusal(text) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (CODES["A"][:-1] + "E", "bad_crc"),
        (CODES["A"].replace("5913", "5914"), "bad_tlv"),
        (CODES["A"].replace("5913", "5912"), "bad_tlv"),
        (CODES["A"][:-5], "bad_tlv"),
        (CODES["A"] + "6207", "bad_tlv"),
        (CODES["A"][:29], "bad_length"),
        ("0" * 1025, "bad_length"),
        ("", "bad_length"),
        ("٠٠٠٢" * 10, "bad_tlv"),
        (CODES["A"][6:], "bad_header"),
        (CODES["A"].replace("000201", "000202"), "bad_header"),
        (CODES["A"].replace("Fulano de Tal", "Fulano\ud800de Tal"), "bad_crc"),
    ],
)
def test_a_damaged_code_is_refused_by_its_first_fault(text: str, error: str) -> None:
    assert refusal(text) == error


def test_a_pix_template_that_names_its_key_twice_is_refused() -> None:
    """One reader would pay the first key and another the second."""
    account = f"0014br.gov.bcb.pix0111{CPF}011111144477735"
    body = f"00020126{len(account)}{account}52040000530398654041.005802BR5901A6001B6304"
    assert refusal(body + crc(body)) == "bad_tlv"


@pytest.mark.checklist("L1")
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"label": "A" * 26}, "bad_txid"),
        ({"label": "PEDIDO-1"}, "bad_txid"),
        ({"label": ""}, "bad_txid"),
        ({"key": EVP, "text": "x" * 38}, "too_long"),
        ({"amount_centavos": 0}, "bad_amount"),
        ({"amount_centavos": 1_000_000_000_000}, "bad_amount"),
        ({"name": ""}, "bad_text"),
        ({"name": "東京"}, "bad_text"),
        ({"city": "Café ☕"}, "bad_text"),
        ({"key": "12345678901"}, "bad_key"),
    ],
)
@pytest.mark.checklist("L1")
def test_the_builder_refuses_what_no_bank_could_read(given: dict[str, object], error: str) -> None:
    assert build_refusal(**given) == error


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://pix.example.com/qr/v2/abc", "bad_url"),
        ("pix.example.com/qr v2", "bad_url"),
        ("pix.example.com", "bad_url"),
        ("pix.example.com/" + "a" * 62, "too_long"),
    ],
)
def test_the_builder_refuses_a_location_that_is_not_host_and_path(url: str, error: str) -> None:
    with pytest.raises(BadCode) as refused:
        build_dynamic(url=url, **PERSON)
    assert refused.value.code == error


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("São João & Cia", "Sao Joao & Cia"),
        ("AÇOUGUE ÉDEN LTDA COMÉRCIO DE CARNES", "ACOUGUE EDEN LTDA COMERCI"),
        ("Padaria Nossa Senhora da Conceição", "Padaria Nossa Senhora da"),
        ("  Loja   do\tZé ", "Loja do Ze"),
    ],
)
def test_a_name_is_shown_without_accents_and_cut(name: str, shown: str) -> None:
    assert parse(build_static(key=CPF, name=name, city="Natal")).name == shown


printable = st.text(string.ascii_letters + string.digits + "&.,'- ", min_size=1).filter(str.strip)
labels = st.none() | st.text(string.ascii_letters + string.digits, min_size=1, max_size=25)
keys = st.sampled_from([EVP, CPF, "11222333000181", "12ABC34501DE35", "+5511987654321", "fulano@example.com"])
amounts = st.none() | st.integers(1, 999_999_999_999)


@given(key=keys, name=printable, city=printable, amount=amounts, label=labels)
@pytest.mark.checklist("L2")
@pytest.mark.checklist("L2")
def test_what_was_built_reads_back_the_same(
    key: str, name: str, city: str, amount: int | None, label: str | None
) -> None:
    code = parse(build_static(key=key, name=name, city=city, amount_centavos=amount, label=label))
    assert (code.kind, code.key, code.amount_centavos, code.txid) == (Kind.STATIC, key, amount, label)
    assert " ".join(name.split()).startswith(code.name)
    assert " ".join(city.split()).startswith(code.city)


@given(name=st.sampled_from(sorted(CODES)), at=st.integers(0), other=st.sampled_from(string.printable))
@pytest.mark.checklist("L2")
@pytest.mark.checklist("L2")
def test_one_changed_character_never_reads_as_another_payment(name: str, at: int, other: str) -> None:
    text = CODES[name]
    at %= len(text)
    try:
        changed = parse(text[:at] + other + text[at + 1 :])
    except BadCode:
        return
    assert changed == parse(text)
