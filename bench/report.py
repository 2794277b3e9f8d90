"""Results as markdown, two lines of header and a row for each bar and mode (bars.md §1.3, appendix A)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from bench.registry import BARS

WORDS = {"target": "target", "gate": "gate", "fail": "FAIL", "unstable": "unstable"}
HEAD = (
    "| bar | mode | what | measured | limit beside | ratio | gate | target | verdict |",
    "|---|---|---|---|---|---|---|---|---|",
)


def markdown(result: Mapping[str, Any]) -> str:
    """Return the whole report of a result file."""
    lines = [hardware(result), settings(result), ""]
    if not result["bars"]:
        return "\n".join([*lines, *limits(result)]) + "\n"
    lines += [*HEAD, *(row(bar, result) for bar in result["bars"])]
    notes = [f"- {bar['id']} {bar['mode']}: {bar['note']}" for bar in result["bars"] if noted(bar)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def limits(result: Mapping[str, Any]) -> list[str]:
    """Return the table of a run that measured limits only."""
    lines = ["| limit | mode | median | rounds |", "|---|---|---|---|"]
    for found in result["limits"]:
        rounds = ", ".join(quantity(value, "") for value in found["rounds"])
        lines.append(f"| {found['id']} | {found['mode']} | {quantity(found['value'], found['unit'])} | {rounds} |")
    return lines


def hardware(result: Mapping[str, Any]) -> str:
    machine, noise = result["machine"], result["noise"]
    fsync = machine["fsync_us"]
    words = [
        machine["cpu"],
        f"{machine['cores']} cores",
        f"{machine['memory_mib'] / 1024:.1f} GiB",
        f"{machine['disk']} {machine['filesystem']}" + (" (virtual)" if machine["virtual"] else ""),
        f"kernel {machine['kernel']}",
        f"fsync {fsync['p50'] / 1000:.2f} ms p50 / {fsync['p99'] / 1000:.2f} ms p99",
    ]
    return ", ".join(words) + f"; foreign CPU ≤ {100 * noise['foreign_cpu_max']:.0f} %"


def settings(result: Mapping[str, Any]) -> str:
    product, software, found = result["product"], result["software"], result["settings"]
    words = [
        f"OpenTill {product['version']} ({product['commit']}{', changed' if product['dirty'] else ''})",
        f"Python {software['python']}",
    ]
    if found["sqlite"]:
        words.append(f"SQLite {software['sqlite']} {found['sqlite']['journal_mode']} {found['sqlite']['synchronous']}")
    if found["postgres"]:
        on = all(found["postgres"].get(name) == "on" for name in ("fsync", "synchronous_commit", "full_page_writes"))
        words.append(f"PostgreSQL {software.get('postgresql', '?')}" + (" durable" if on else " NOT DURABLE"))
    if "uvicorn" in software:
        words.append(f"uvicorn {software['uvicorn']} ×{(found['server'] or {}).get('workers', 1)}")
    return ", ".join(words) + "; sandbox provider, same machine; rate limit raised"


def row(bar: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    cells = [bar["id"], bar["mode"], bar["part"], measured(bar), limit(bar, result), value(bar)]
    return "| " + " | ".join([*cells, rule(bar, "gate"), rule(bar, "target"), verdict(bar)]) + " |"


def measured(bar: Mapping[str, Any]) -> str:
    found = bar.get("measured")
    if found:
        return quantity(found["value"], found["unit"])
    if bar["verdict"] == "not_run":
        return "–"
    return ", ".join(f"{name} {size}" for name, size in bar.get("size", {}).items()) or "–"


def limit(bar: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    if bar["verdict"] == "not_run" or not bar.get("limit"):
        return "–"
    candidates = [row for row in result["limits"] if row["id"] == bar["limit"] and row["mode"] in (bar["mode"], "any")]
    # One limit may be measured as a rate and as a time; the one beside has the unit of what was measured.
    candidates.sort(key=lambda row: row["unit"] != bar.get("measured", {}).get("unit"))
    return f"{bar['limit']} {quantity(candidates[0]['value'], candidates[0]['unit'])}" if candidates else bar["limit"]


def value(bar: Mapping[str, Any]) -> str:
    if bar["verdict"] == "not_run" or bar.get("value") is None:
        return "–"
    if isinstance(bar["value"], bool):
        return "holds" if bar["value"] else "broken"
    rounds: Sequence[float] = bar.get("rounds", ())
    text = f"{bar['value']:.2f}" if bar.get("unit") == "ratio" else quantity(bar["value"], bar.get("unit", ""))
    return text + (f" ({min(rounds):.2f}–{max(rounds):.2f})" if rounds else "")


def rule(bar: Mapping[str, Any], name: Literal["gate", "target"]) -> str:
    """Write a threshold; a row that was not run may leave it to the registry."""
    found = bar.get(name) or registered(bar, name)
    if found is None:
        return "–"
    if found["op"] == "holds":
        return "holds"
    sign = {">=": "≥ ", "<=": "≤ ", "==": ""}[found["op"]]
    number = found["value"]
    return sign + (f"{number:.2f}" if isinstance(number, float) and number < 1 else f"{number:g}")


def registered(bar: Mapping[str, Any], name: Literal["gate", "target"]) -> Mapping[str, Any] | None:
    parts = BARS[bar["id"]].parts if bar["id"] in BARS else ()
    return next((asdict(getattr(part, name)) for part in parts if part.name == bar["part"]), None)


def verdict(bar: Mapping[str, Any]) -> str:
    return f"not run: {bar['note']}" if bar["verdict"] == "not_run" else WORDS[bar["verdict"]]


def noted(bar: Mapping[str, Any]) -> bool:
    return bar["verdict"] != "not_run" and bool(bar.get("note"))


def quantity(number: float, unit: str) -> str:
    """Write a number with its unit: 2,608/s, 1.2 ms."""
    text = f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
    return text + unit[1:] if unit.startswith("1/s") else f"{text} {unit}".strip()
