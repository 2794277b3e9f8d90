"""Amounts with exactly their currency's decimals, instants that say their zone."""

import pytest

from opentill.kernel.clock import Instant
from opentill.kernel.money import currency, parse
from opentill.web import formats, languages

SPOKEN = languages.load()


@pytest.mark.parametrize(
    ("amount", "code", "pt", "en", "es"),
    [
        ("1234.50", "BRL", "R$\xa01.234,50", "R$1,234.50", "1.234,50\xa0BRL"),
        ("1500", "JPY", "JP¥\xa01.500", "¥1,500", "1.500\xa0JPY"),
        ("1.25", "KWD", "KWD\xa01,250", "KWD1.250", "1,250\xa0KWD"),
        ("7", "IQD", "IQD\xa07,000", "IQD7.000", "7,000\xa0IQD"),
        ("0.0001", "CLF", "CLF\xa00,0001", "CLF0.0001", "0,0001\xa0CLF"),
    ],
)
def test_an_amount_is_written_as_the_reader_writes_it(amount: str, code: str, pt: str, en: str, es: str) -> None:
    money = parse(amount, currency(code))
    written = [formats.money(money, SPOKEN[tag].locale) for tag in ("pt-BR", "en", "es")]
    assert [text.replace("\u202f", "\xa0") for text in written] == [pt, en, es]


def test_an_instant_is_written_in_utc_and_can_be_read_by_a_script() -> None:
    instant = Instant(1_772_897_400_000_000)
    assert formats.time(instant, SPOKEN["pt-BR"].locale) == (
        '<time datetime="2026-03-07T15:30:00Z" data-behaviour="local-time">7 de mar. de 2026, 15:30 UTC</time>'
    )
    assert "Mar 7, 2026" in formats.time(instant, SPOKEN["en"].locale)
