"""The page that shows an API's OpenAPI document and tries its calls out. Loads nothing from elsewhere.

Rendered once when the process starts. The script beside it sends calls to this same installation, with credentials
that stay in the page and are forgotten with it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jinja2

from opentill.web.assets import PACKAGE, Assets
from opentill.web.browser import HEADERS
from opentill.web.exchange import Answer, Header

DEPTH_MAX: Final = 5  # levels of a schema that are written out
HTML: Final = b"text/html; charset=utf-8"
PAGE_HEADERS: Final[tuple[Header, ...]] = tuple(
    (name.lower().encode(), text.encode()) for name, text in HEADERS.items()
)


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table: a field, a parameter or a header."""

    name: str
    depth: int
    kind: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One operation as the page shows it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    permission: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    example: str
    answers: tuple[tuple[str, str, tuple[Field, ...]], ...]


def page(document: Mapping[str, Any], *, signed: bool) -> Answer:
    """Return the page of a document. *signed*: bodies carry an HMAC under the client secret (pix-api.md §5)."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PACKAGE / "web" / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    facts = {
        "info": document["info"],
        "base": document["servers"][0]["url"],
        "groups": groups(document),
        "signed": signed,
        "asset": Assets().url,
    }
    html = environment.get_template("api_docs.html").render(facts)
    return Answer(200, html.encode(), PAGE_HEADERS, HTML)


def groups(document: Mapping[str, Any]) -> dict[str, list[Shown]]:
    """Return the operations by the first segment of their paths."""
    found: dict[str, list[Shown]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(path.split("/")[1], []).append(_shown(document, path, method, operation))
    return found


def _shown(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Shown:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = content.get("example")
    return Shown(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        permission=operation.get("x-permission", ""),
        parameters=tuple(_parameter(document, parameter) for parameter in operation.get("parameters", ())),
        body=tuple(_fields(document, content["schema"])) if content else (),
        example="" if example is None else json.dumps(example, ensure_ascii=False, indent=2),
        answers=tuple(
            (status, answer["description"], tuple(_fields(document, _schema_of(answer))))
            for status, answer in operation["responses"].items()
        ),
    )


def _parameter(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> Field:
    kind = f"{parameter['in']}, {_kind(document, parameter['schema'])}"
    return Field(parameter["name"], 0, kind, parameter.get("required", False), parameter.get("description", ""))


def _schema_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> Iterator[Field]:
    """Yield the fields of an object, those inside it below it."""
    schema = _resolved(document, schema)
    if schema.get("type") == "array":
        schema = _resolved(document, schema.get("items", {}))
    for alternative in schema.get("oneOf", ()):
        if "properties" in _resolved(document, alternative):
            schema = _resolved(document, alternative)
            break
    for name, inside in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        text = _resolved(document, inside).get("description", "")
        yield Field(name, depth, _kind(document, inside), required, text)
        if depth + 1 < DEPTH_MAX:
            yield from _fields(document, inside, depth + 1)


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return what a value is, in a few words."""
    schema = _resolved(document, schema)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value).strip('"') for value in schema["enum"])
    if "oneOf" in schema:
        return " | ".join(dict.fromkeys(_kind(document, one) for one in schema["oneOf"]))
    kinds = schema.get("type", "any")
    words = [kinds] if isinstance(kinds, str) else list(kinds)
    if "array" in words and "items" in schema:
        words[words.index("array")] = f"list of {_kind(document, schema['items'])}"
    limits = [f"{limit} {schema[limit]}" for limit in ("minimum", "maximum", "maxLength") if limit in schema]
    return ", ".join([" | ".join(words), *limits])


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference into the document's components."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema
