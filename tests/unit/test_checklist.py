"""The checklist is read from the specification as it is written there."""

import pytest

from tests.checklist import LETTERS, SPECIFICATION, Collected, Line, lines_of, main, read, report

NUMBERED = """
## 20. Wishes
1. Not a line of the checklist.

## 21. Acceptance checklist
Each line is one test.
### Seed
1. A POST answers 201.
2. It is `pending`.

## Appendix A
3. Not one either.
"""
CASES = """
| F1 | killed | nothing lost |
| SG2 | empty secret | refused |

### 16.7 Acceptance in one paragraph

With one merchant: a payment reaches all; the secret rotates.

---
"""


def test_numbered_lines_carry_the_letter_of_their_document() -> None:
    assert list(lines_of("merchant-api", NUMBERED)) == [
        Line("M1", "A POST answers 201."),
        Line("M2", "It is `pending`."),
    ]


def test_webhooks_has_the_clauses_of_a_paragraph_and_the_cases_of_tables() -> None:
    assert [(line.name, line.text) for line in lines_of("webhooks", CASES)] == [
        ("W1", "a payment reaches all"),
        ("W2", "the secret rotates"),
        ("F1", "killed: nothing lost"),
        ("SG2", "empty secret: refused"),
    ]


def test_a_line_is_printed_with_its_tests_or_with_the_lack_of_one() -> None:
    lines = [Line("M1", "A POST answers 201."), Line("M2", "It is `pending`.")]
    assert list(report(lines, {"M1": ["tests/a.py::test_a"]})) == [
        "  M1  A POST answers 201.",
        "        tests/a.py::test_a",
        "  M2  It is `pending`.",
        "        — no test names this line",
    ]


def test_the_specification_has_as_many_lines_as_it_had() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not beside this repository")
    counted = {document: len(lines) for document, lines in read(LETTERS).items()}
    assert counted == {"merchant-api": 67, "pix-api": 55, "pix-rail": 25, "webhooks": 69}


def test_a_document_without_a_checklist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bars"]) == 2
    assert "bars" in capsys.readouterr().err


def test_each_test_is_noted_once_for_all_its_parameters(request: pytest.FixtureRequest) -> None:
    collected = Collected()
    collected.pytest_collection_finish(request.session)
    assert all(len(tests) == len(set(tests)) for tests in collected.proofs.values())
