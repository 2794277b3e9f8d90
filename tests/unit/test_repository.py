"""The repository keeps its own promises: no foreign addresses, true documents, locked dependencies, no floats."""

import ast
import re
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from opentill.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "opentill"
REGISTRY = re.compile(r"//[a-z.-]*(?:py[p]i|npm[j]s|python[h]osted|debia[n])[a-z.]*[/:]")
MACHINE_PATH = re.compile(r"(?:^|[^a-z.\d*])/(?:wor[k]|far[m]|roo[t]|hom[e]/[a-z]+)/")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def documents() -> list[Path]:
    return [file for file in tracked_files() if file.suffix == ".md"]


def locked(name: str) -> dict[str, str]:
    """Return the pinned version of each package of a locked set."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.M))


def package_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower()


def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in tracked_files()
        for number, line in enumerate(file.read_text(errors="ignore").splitlines(), 1)
        if REGISTRY.search(line) or MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def test_the_locked_sets_cover_the_declared_dependencies_and_agree() -> None:
    run, dev = locked("run"), locked("dev")
    assert {package_name(entry) for entry in PROJECT["project"]["dependencies"]} <= run.keys()
    groups = PROJECT["dependency-groups"]
    declared = [entry for entry in groups["build"] + groups["dev"] if isinstance(entry, str)]
    assert {package_name(entry) for entry in declared} <= dev.keys()
    assert {name: dev.get(name) for name in run} == run


def test_every_runtime_dependency_is_justified() -> None:
    [record] = (ROOT / "docs" / "adr").glob("0004-*.md")
    rows = set(re.findall(r"^\| ([a-z][a-z0-9-]+) ", record.read_text(), re.M)) - {"package"}
    assert {package_name(entry) for entry in PROJECT["project"]["dependencies"]} == rows


def test_the_record_of_dependencies_names_the_locked_versions() -> None:
    [record] = (ROOT / "docs" / "adr").glob("0004-*.md")
    written = dict(re.findall(r"^\| ([a-z][a-z0-9-]+) \| (\d\S*) ", record.read_text(), re.M))
    assert written == {name: locked("run")[name] for name in written}


def test_every_make_verb_that_a_document_names_exists() -> None:
    verbs = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        verb
        for document in documents()
        for verb in re.findall(r"(?:`|^\$? *)make ([a-z][a-z0-9-]*)", document.read_text(), re.M)
    }
    assert named
    assert named <= verbs


def test_every_relative_link_of_a_document_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)} → {target}"
        for document in documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if "://" not in target and not target.startswith("mailto:")
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_place_that_the_glossary_names_exists() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    schema = "".join(file.read_text() for file in sorted((SOURCE / "db" / "migrations").rglob("*.sql")))
    tables = set(re.findall(r"create table (\w+)", schema))
    rows = re.findall(r"^\| \*\*.*\| ([^|]*) \|$", text, re.M)
    places = {place for row in rows for place in re.findall(r"`([^`]+)`", row)}
    assert places
    missing = {place for place in places if place not in tables and not (SOURCE / place).exists()}
    assert missing == set()


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    text = (ROOT / "docs" / "operating" / "README.md").read_text()
    known = {f"OPENTILL_{field.name.upper()}" for field in fields(Settings)}
    assert set(re.findall(r"OPENTILL_[A-Z0-9_]+", text)) == known


ROOMS = {"store", "service"}  # those that are folders, and told of where rooms are


def test_the_map_of_the_source_names_every_part_and_no_other() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"^\| `((?:payments|pix)/\w+)` \|", text, re.M))
    folders = [file.parent for package in ("payments", "pix") for file in (SOURCE / package).glob("*/__init__.py")]
    assert named == {f"{folder.parent.name}/{folder.name}" for folder in folders if folder.name not in ROOMS}


def test_decision_records_are_numbered_in_a_row_and_have_one_shape() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = re.findall(r"^## (.*)$", record.read_text(), re.M)
        assert headings == ["Context", "Decision", "Consequences"], record.name


def money_modules() -> list[Path]:
    """Return the module that defines money and every module that works with it."""
    return [
        file
        for file in sorted(SOURCE.rglob("*.py"))
        if file == SOURCE / "kernel" / "money.py"
        or file.is_relative_to(SOURCE / "ledger")
        or re.search(r"^from opentill\.kernel(?:\.money import| import .*\bmoney\b)", file.read_text(), re.M)
    ]


def floats_in(node: ast.AST) -> list[int]:
    """Return the lines of float literals, the name `float` and true divisions.

    What is named in seconds (`…_s`) is not money and may be a fraction.
    """
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if _in_seconds(name):
            return []
        case ast.arg(arg=name) | ast.keyword(arg=str(name)) if _in_seconds(name):
            return []
        case ast.Constant(value=float()) | ast.Name(id="float"):
            return [node.lineno]
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return [node.lineno]
    return [line for child in ast.iter_child_nodes(node) for line in floats_in(child)]


def _in_seconds(name: str) -> bool:
    return name.lower().endswith("_s")


def test_no_module_that_works_with_money_knows_floats() -> None:
    modules = money_modules()
    assert SOURCE / "kernel" / "money.py" in modules
    found = {
        str(file.relative_to(SOURCE)): lines for file in modules if (lines := floats_in(ast.parse(file.read_text())))
    }
    assert found == {}


@pytest.mark.parametrize("code", ["fee = 0.5", "fee = float(text)", "fee = amount / 3", "fee /= 3"])
def test_the_search_for_floats_finds_them(code: str) -> None:
    assert floats_in(ast.parse(code)) == [1]


def test_the_search_for_floats_leaves_seconds_alone() -> None:
    assert floats_in(ast.parse("ANSWER_S = 0.3\ndef wait(delay_s: float): ...")) == []
