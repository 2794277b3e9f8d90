"""The `checklist` marker: tests name the acceptance lines they prove, and `make checklist` shows both side by side.

    @pytest.mark.checklist("M9", "X19")
    def test_the_last_call_of_a_minute_is_refused(house): ...

A line is named by the letter of its document and its number there. webhooks.md has no numbers: W1, W2 … are the
clauses of its acceptance paragraph, and the rows of its tables of cases (F1, SG4, AG11) keep the names they have.
The documents are read where they lie, beside this repository.

    python -m tests.checklist [DOCUMENT …]      prints the lines with their tests; fails on a line without one
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
SPECIFICATION: Final = ROOT.parent / "shared" / "spec"
LETTERS: Final = {"merchant-api": "M", "pix-api": "X", "pix-rail": "L", "webhooks": "W"}

NUMBERED: Final = re.compile(r"^(\d+)\. (.+)$")
CASE: Final = re.compile(r"^\| ((?:F|SG|AG)\d+) \| (.+) \|$")
SHOWN: Final = 110  # characters of a line


class Line(NamedTuple):
    """One line of a checklist."""

    name: str
    text: str


def lines_of(document: str, text: str) -> Iterator[Line]:
    """Yield the acceptance lines of a specification."""
    if document == "webhooks":
        yield from _cases(text)
        return
    for line in _chapter(text, "Acceptance checklist").splitlines():
        if found := NUMBERED.match(line):
            yield Line(f"{LETTERS[document]}{found[1]}", found[2])


def read(documents: Iterable[str], folder: Path = SPECIFICATION) -> dict[str, list[Line]]:
    """Return the lines of each document that is there."""
    files = {document: folder / f"{document}.md" for document in documents}
    return {document: list(lines_of(document, file.read_text())) for document, file in files.items() if file.exists()}


class Collected:
    """A pytest plug-in that notes which test names which line, and runs none."""

    def __init__(self) -> None:
        self.proofs: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("[")[0]
            for marker in item.iter_markers("checklist"):
                for name in marker.args:
                    proofs = self.proofs.setdefault(name, [])
                    if test not in proofs:
                        proofs.append(test)


def report(lines: Sequence[Line], proofs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what is printed: each line, and below it the tests that prove it."""
    for line in lines:
        shown = line.text if len(line.text) <= SHOWN else line.text[: SHOWN - 1] + "…"
        yield f"{line.name:>4}  {shown}"
        yield from (f"        {test}" for test in proofs.get(line.name, ["— no test names this line"]))


def main(documents: Sequence[str]) -> int:
    """Print the checklists; return 1 if a line has no test or a test names a line that does not exist."""
    unknown = set(documents) - LETTERS.keys()
    if unknown:
        print(f"No checklist {', '.join(sorted(unknown))}; there are {', '.join(LETTERS)}.", file=sys.stderr)
        return 2
    everything = read(LETTERS)
    if not everything:
        print(f"skipped: the specification is not beside this repository ({SPECIFICATION})")
        return 0

    collected = Collected()
    with redirect_stdout(io.StringIO()):
        failed = pytest.main(["-qq", "--collect-only", "-p", "no:cacheprovider", str(ROOT / "tests")], [collected])
    if failed:
        print("The tests cannot be collected; `python -m pytest --collect-only` says why.", file=sys.stderr)
        return 2
    chosen = [line for document in (documents or LETTERS) for line in everything.get(document, [])]
    print("\n".join(report(chosen, collected.proofs)))

    bare = [line.name for line in chosen if line.name not in collected.proofs]
    strange = sorted(collected.proofs.keys() - {line.name for lines in everything.values() for line in lines})
    print(f"\n{len(chosen) - len(bare)} of {len(chosen)} lines have a test.")
    if bare:
        print(f"Without one: {' '.join(bare)}")
    if strange:
        print(f"Tests name lines that do not exist: {' '.join(strange)}")
    return 1 if bare or strange else 0


def _cases(text: str) -> Iterator[Line]:
    """Yield the clauses of the acceptance paragraph of webhooks.md, then the cases of its tables."""
    paragraph = _chapter(text, "Acceptance in one paragraph").strip().partition("\n\n")[0]
    for number, clause in enumerate(paragraph.partition(": ")[2].rstrip(".").split("; "), 1):
        yield Line(f"W{number}", clause)
    for line in text.splitlines():
        if found := CASE.match(line):
            yield Line(found[1], found[2].replace(" | ", ": ", 1))


def _chapter(text: str, title: str) -> str:
    """Return what stands between a heading and the next one."""
    after = re.split(rf"^#+ [\d.]+ {title}$", text, maxsplit=1, flags=re.M)
    return re.split(r"^##? ", after[1], maxsplit=1, flags=re.M)[0] if len(after) == 2 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
