"""What a bank says when it says no, in whichever of the known shapes (pix-rail.md §6.6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.json_text import read_exact
from opentill.pix.port import Refused
from opentill.pix.providers.transport import RawAnswer
from opentill.pix.rejections import BY_CODE, in_text

TEXT_MAX: Final = 500  # characters of an unknown body worth keeping


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal: the document's name for it where there is one, a sentence, what was wrong, and a code if given."""

    name: str
    detail: str
    violations: tuple[str, ...] = ()
    code: str = ""


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object with its numbers exact, or None for anything else."""
    try:
        document = read_exact(body)
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


def return_refusal(refused: Refused) -> Refused:
    """Return why a return was refused, by the violation the bank names (pix-rail.md §6.6)."""
    said = " ".join((refused.detail, *refused.violations))
    words = said.lower()
    row = in_text(said)
    if "janela de tempo" in words or "90 dias" in words:
        row = BY_CODE["DT05"]
    elif "excederia" in words:
        row = BY_CODE["AM09"]
    if row is None:
        return refused
    return Refused(row.reason, refused.detail, refused.violations, rail_code=row.code)


def _problem(document: dict[str, Any]) -> Problem | None:
    kind = document.get("type")
    if not isinstance(kind, str):
        return None
    name = kind.rstrip("/").rpartition("/")[2]
    detail = str(document.get("detail") or document.get("title") or name)
    violations = document.get("violacoes")
    items = violations if isinstance(violations, list) else []
    reasons = tuple(str(item.get("razao", "")) for item in items if isinstance(item, dict))
    return Problem(name, detail, reasons, str(document.get("codigo", "")))


def _name_and_message(document: dict[str, Any]) -> Problem | None:
    """Efí's own routes: `{"nome": "txid_duplicado", "mensagem": "…"}`."""
    name, message = document.get("nome"), document.get("mensagem")
    return Problem(name, str(message or name)) if isinstance(name, str) else None


def _list_of_errors(document: dict[str, Any]) -> Problem | None:
    """Banco do Brasil's: `{"erros": [{"codigo": "…", "mensagem": "…"}]}`."""
    errors = document.get("erros")
    items = [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
    if not items:
        return None
    texts = [str(item.get("mensagem") or item.get("textoMensagem") or item.get("codigo") or "") for item in items]
    return Problem(str(items[0].get("codigo", "")), texts[0], tuple(texts))


def _oauth(document: dict[str, Any]) -> Problem | None:
    error = document.get("error")
    return Problem(error, str(document.get("error_description", error))) if isinstance(error, str) else None


_PARSERS: Final[dict[str, Callable[[dict[str, Any]], Problem | None]]] = {
    "problem": _problem,
    "nome_mensagem": _name_and_message,
    "erros_list": _list_of_errors,
    "oauth": _oauth,
    "text": lambda _document: None,  # the first characters of the body are what is left
}
