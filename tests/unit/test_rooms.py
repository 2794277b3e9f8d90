"""The rooms of a feature keep to themselves. Floors between packages are import-linter's (pyproject.toml)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "opentill"
ROOMS = {"flow", "service", "store", "queries", "rules", "wire", "port", "model"}
SYNCHRONOUS = {"service", "store", "queries", "rules", "wire", "model"}
# What a room never imports of its own feature; rooms not named here are free.
CLOSED_TO = {
    "store": {"service", "flow", "wire", "port"},  # may take values from rules, which are pure
    "queries": {"service", "flow", "port"},  # may read rows the way the store does
    "rules": {"service", "flow", "store", "queries", "wire", "port"},
    "wire": {"service", "flow", "store", "queries", "port"},
    "model": {"service", "flow", "store", "queries", "rules", "wire", "port"},
}
# Feature → the feature whose store it shares.
SHARED_STORES = {
    ("payments", "pix"),  # a payment and its charge change together, under the locks that both stores take
}
PURE = {"rules", "wire", "model"}  # no database
REAL_CHANCE_AND_TIME = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "date.today",
    "uuid.uuid4",
    "uuid4",
    "os.urandom",
    "secrets.token_bytes",
    "secrets.token_hex",
    "secrets.token_urlsafe",
    "secrets.choice",
    "random.random",
    "random.uniform",
    "random.choice",
    "random.randint",
}


def modules() -> Iterator[tuple[str, str, Path]]:
    """Yield the feature, the room and the file of every module; a room may be a folder, and so may a part of a feature.

    The part `payments/links` has rooms of its own: its feature is `payments.links`.
    """
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        if len(parts) > 2 and parts[1] not in ROOMS and parts[2] in ROOMS:
            yield ".".join(parts[:2]), parts[2], file
        elif len(parts) > 1:
            yield parts[0], parts[1], file


def imports(file: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def where(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def test_a_store_is_private_to_its_feature() -> None:
    strangers = [
        f"{where(file)} imports {name}"
        for feature, _, file in modules()
        for name in imports(file)
        if (owner := re.match(r"opentill\.(\w+)(?:\.\w+)?\.store\b", name))
        and owner[1] != feature.partition(".")[0]
        and (feature.partition(".")[0], owner[1]) not in SHARED_STORES
    ]
    assert strangers == []


def test_a_room_imports_only_the_rooms_below_it() -> None:
    wrong = [
        f"{where(file)} imports {name}"
        for feature, room, file in modules()
        for name in imports(file)
        if (other := re.match(rf"opentill\.{feature}\.(\w+)", name)) and other[1] in CLOSED_TO.get(room, ())
    ]
    assert wrong == []


def test_rules_wire_and_model_know_no_database() -> None:
    wrong = [
        f"{where(file)} imports {name}"
        for feature, room, file in modules()
        if room in PURE
        for name in imports(file)
        if name.startswith("opentill.db")
    ]
    assert wrong == []


def test_use_cases_and_what_they_call_are_plain_functions() -> None:
    waiting = [
        f"{where(file)}:{node.lineno}"
        for _, room, file in modules()
        if room in SYNCHRONOUS
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor)
    ]
    assert waiting == []


def test_only_the_kernel_asks_the_machine_for_time_and_chance() -> None:
    asking = [
        f"{where(file)}:{node.lineno} {called}"
        for file in sorted(SOURCE.rglob("*.py"))
        if not file.is_relative_to(SOURCE / "kernel")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in REAL_CHANCE_AND_TIME
    ]
    assert asking == []
