"""Lists by time window and page, as the Central Bank's document has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from opentill.kernel.clock import from_datetime
from opentill.sandbox_psp.frame import Frame, shown_at
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row

ITEMS_DEFAULT: Final = 100
ITEMS_MAX: Final = 1_000

_ALWAYS: Final = (0, 2**62)


@dataclass(frozen=True, slots=True)
class Window:
    """What part of a list was asked for. Both ends are included."""

    start: int
    end: int
    number: int
    items: int


def read_window(query: Mapping[str, str], problem: str, *, required: bool = True) -> Window:
    """Read `inicio`, `fim` and `paginacao.*`. Raises *problem*."""
    start = _instant(query, "inicio", problem, None if required else _ALWAYS[0])
    end = _instant(query, "fim", problem, None if required else _ALWAYS[1])
    if end < start:
        reason = "o _timestamp_ representado pelo parâmetro `fim` é anterior ao representado por `inicio`."
        raise Problem(problem, [Violation(reason, "fim")])
    if "cpf" in query and "cnpj" in query:
        raise Problem(problem, [Violation("ambos os parâmetros `cpf` e `cnpj` estão preenchidos.", "cpf")])
    number = _number(query, "paginacao.paginaAtual", problem, 0, minimum=0)
    items = _number(query, "paginacao.itensPorPagina", problem, ITEMS_DEFAULT, minimum=1)
    return Window(start, end, number, min(items, ITEMS_MAX))


def page(frame: Frame, window: Window, tail: str, given: Mapping[str, Any]) -> tuple[Sequence[Row], dict[str, int]]:
    """Return the rows of a page and the `paginacao` that describes it. *tail* begins with `from`."""
    span = {"start": window.start, "end": window.end}
    counted = frame.store.one(f"select count(*) as total {tail}", **given, **span)
    total = counted["total"] if counted else 0
    rows = frame.store.all(
        f"select * {tail} limit :items offset :skipped",
        **given,
        **span,
        items=window.items,
        skipped=window.number * window.items,
    )
    return rows, {
        "paginaAtual": window.number,
        "itensPorPagina": window.items,
        "quantidadeDePaginas": max(1, -(-total // window.items)),
        "quantidadeTotalDeItens": total,
    }


def echoed(
    query: Mapping[str, str],
    window: Window,
    paged: dict[str, int],
    texts: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """Return `parametros`: the question as it was understood."""
    shown: dict[str, Any] = {}
    if (window.start, window.end) != _ALWAYS:
        shown |= {"inicio": shown_at(window.start), "fim": shown_at(window.end)}
    shown |= {name: query[name] for name in texts if name in query}
    shown |= {name: query[name] == "true" for name in flags if name in query}
    return shown | {"paginacao": paged}


def _instant(query: Mapping[str, str], name: str, problem: str, default: int | None) -> int:
    if name not in query and default is not None:
        return default
    try:
        moment = datetime.fromisoformat(query.get(name, ""))
        return from_datetime(moment)
    except (ValueError, TypeError):
        raise _unreadable(name, problem) from None


def _number(query: Mapping[str, str], name: str, problem: str, default: int, *, minimum: int) -> int:
    text = query.get(name, str(default))
    if text.startswith("-"):
        raise Problem(problem, [Violation(f"o parâmetro `{name}` é negativo.", name)])
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < minimum:
        raise _unreadable(name, problem)
    return int(text)


def _unreadable(name: str, problem: str) -> Problem:
    return Problem(problem, [Violation(f"o parâmetro `{name}` não respeita o _schema_.", name)])
