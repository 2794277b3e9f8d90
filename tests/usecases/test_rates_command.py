"""`opentill rates`: the operator's way to convert for gateways of another currency."""

from pathlib import Path

import pytest

from opentill.cli.rates import set_rate, show
from opentill.kernel.errors import Invalid


@pytest.fixture
def data(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENTILL_DATABASE_URL", database_url)
    return tmp_path


def test_a_rate_that_was_set_is_listed_and_the_newest_counts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_rate("usd", "brl", "5.40", data)
    set_rate("USD", "BRL", "5.4321", data)
    capsys.readouterr()
    show(data)
    assert capsys.readouterr().out.startswith("1 USD = 5.4321 BRL  operator, ")


@pytest.mark.parametrize(
    ("base", "quote", "rate", "said"),
    [
        ("USD", "XXZ", "5", "XXZ is no currency"),
        ("USD", "BRL", "0", "decimal above zero"),
        ("USD", "BRL", "5,4", "decimal above zero"),
        ("USD", "BRL", "-1", "decimal above zero"),
    ],
)
def test_what_is_no_rate_is_refused(data: Path, base: str, quote: str, rate: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        set_rate(base, quote, rate, data)
    assert said in str(refused.value)
    show(data)
