"""What a bank says when it says no, in whichever of the known shapes (pix-rail.md §6.6)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from opentill.pix.providers.transport import RawAnswer

TEXT_MAX: Final = 500  # characters of an unknown body worth keeping


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal: the document's name for it where there is one, a sentence, and what was wrong."""

    name: str
    detail: str
    violations: tuple[str, ...] = ()


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object with its numbers exact, or None for anything else."""
    try:
        document = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def read_problem(answer: RawAnswer, parsers: Sequence[str]) -> Problem:
    """Return what the body says by the first parser that knows its shape, else its first characters."""
    document = read_object(answer.body)
    for name in parsers:
        found = _PARSERS[name](document) if document is not None else None
        if found is not None:
            return found
    text = answer.body[:TEXT_MAX].decode("utf-8", "replace")
    return Problem("", f"status {answer.status}: {text}")


def _problem(document: dict[str, Any]) -> Problem | None:
    kind = document.get("type")
    if not isinstance(kind, str):
        return None
    name = kind.rstrip("/").rpartition("/")[2]
    detail = str(document.get("detail") or document.get("title") or name)
    violations = document.get("violacoes")
    items = violations if isinstance(violations, list) else []
    return Problem(name, detail, tuple(str(item.get("razao", "")) for item in items if isinstance(item, dict)))


def _oauth(document: dict[str, Any]) -> Problem | None:
    error = document.get("error")
    return Problem(error, str(document.get("error_description", error))) if isinstance(error, str) else None


_PARSERS: Final[dict[str, Callable[[dict[str, Any]], Problem | None]]] = {
    "problem": _problem,
    "oauth": _oauth,
}
