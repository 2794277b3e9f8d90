"""The Central Bank's document, with the corrections of pix-rail.md §11.2 and no others."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import referencing
import yaml

FILE = Path(__file__).parents[4] / "shared" / "reference" / "bacen-api-pix-2.9.0.openapi.yaml"
URI = "urn:bacen"
_IDS = {"cob": "{txid}", "cobv": "{txid}", "pix": "{e2eid}", "devolucao": "{id}", "webhook": "{chave}", "loc": "{id}"}


@cache
def document() -> dict[str, Any]:
    """Return the corrected document."""
    corrected = yaml.load(FILE.read_text(), yaml.CSafeLoader)
    for schema in _objects(corrected):
        if isinstance(schema.get("pattern"), str):
            # The slashes of CPF and codMun are a JavaScript literal's; without anchors a pattern may match inside.
            schema["pattern"] = f"^(?:{schema['pattern'].strip('/')})$"
        if {"status", "txid", "idCob"} <= _required(schema):
            schema["required"].remove("idCob")
        if "recebedor" in schema.get("properties", {}):
            schema["required"] = sorted(_required(schema) - {"logradouro", "cidade", "uf", "cep"})
        if "tipoCob" in _required(schema) and "txid" not in _required(schema):
            schema["required"].remove("tipoCob")
    received = corrected["components"]["schemas"]["PixConsultados"]
    received["required"] = ["parametros", "pix"]
    return corrected


def faults(schema: dict[str, Any], instance: object) -> list[str]:
    """Return what is wrong with a body, place and reason."""
    registry: Any = referencing.Registry().with_resource(
        URI, referencing.Resource(document(), referencing.jsonschema.DRAFT4)
    )
    checker = jsonschema.FormatChecker([])
    checker.checks("date-time")(is_instant)
    rooted = _rooted(schema)
    validator = jsonschema.Draft4Validator(rooted, registry=registry, format_checker=checker)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def answer_schema(method: str, path: str, status: int) -> dict[str, Any] | None:
    """Return the schema of an answer, None where it has no body. KeyError: the document has no such answer."""
    answer = resolved(document()["paths"][template(path)][method.lower()]["responses"][str(status)])
    contents = list(answer.get("content", {}).values())
    return contents[0]["schema"] if contents else None


def body_schema(method: str, path: str) -> dict[str, Any]:
    """Return the schema of a request's body."""
    asked = resolved(document()["paths"][template(path)][method.lower()]["requestBody"])
    return dict(asked["content"]["application/json"]["schema"])


def named(name: str) -> dict[str, Any]:
    """Return a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def notification_schema() -> dict[str, Any]:
    """Return the schema of what a bank posts."""
    asked = document()["components"]["requestBodies"]["WebhookPixBody"]
    return dict(asked["content"]["application/json"]["schema"])


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    while "$ref" in node:
        found: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def template(path: str) -> str:
    """Return the document's path for a real one: every second part is somebody's id."""
    parts = path.partition("?")[0].removeprefix("/api/v2/").split("/")
    return "/" + "/".join(part if number % 2 == 0 else _IDS[parts[number - 1]] for number, part in enumerate(parts))


def is_instant(value: object) -> bool:
    """Tell whether a text is a UTC time as the document shows them."""
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value))


def _required(schema: dict[str, Any]) -> set[str]:
    required = schema.get("required")
    return set(required) if isinstance(required, list) else set()


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _rooted(node: Any) -> Any:
    """Return a schema whose references lead to the document."""
    if isinstance(node, dict):
        return {
            name: f"{URI}{value}" if name == "$ref" and isinstance(value, str) else _rooted(value)
            for name, value in node.items()
        }
    return [_rooted(value) for value in node] if isinstance(node, list) else node
