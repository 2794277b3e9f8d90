"""What the command of the benchmarks takes."""

import pytest
from bench.__main__ import parser


@pytest.mark.parametrize("option", ["--rounds", "--repetitions"])
def test_nothing_is_measured_less_than_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["limits", option, "0"])
    assert "at least 1" in capsys.readouterr().err
