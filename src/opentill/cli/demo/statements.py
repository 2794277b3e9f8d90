"""What the two API pages say, each statement with what was seen of it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Statements:
    """The statements checked so far. One that is checked several times holds only if it always did."""

    _held: dict[str, bool] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)

    def check(self, statement: str, holds: bool, *, seen: Any = "") -> None:
        """Note whether a statement held; *seen* tells what was there instead."""
        first = self._held.get(statement, True)
        self._held[statement] = first and holds
        if not holds:
            self._seen.setdefault(statement, str(seen))
            print(f"    ✗ {statement}: {str(seen)[:300]}")

    def equal(self, statement: str, found: Any, expected: Any) -> None:
        """Check that something is exactly as the page says."""
        self.check(statement, found == expected, seen=f"{found!r} instead of {expected!r}")

    @property
    def all_true(self) -> bool:
        return all(self._held.values())

    def summary(self) -> str:
        """Return every statement, in the order of checking, and the count."""
        lines = [f"  {'✓' if held else '✗'} {statement}" for statement, held in self._held.items()]
        lines += [f"      {statement}: {seen}" for statement, seen in self._seen.items()]
        true = sum(self._held.values())
        return "\n".join([*lines, "", f"{true} of {len(self._held)} statements are true."])
