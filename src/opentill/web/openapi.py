"""OpenAPI documents, put together from what stands beside each operation."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentill.web.routes import Operation
from opentill.webhooks import schema
from opentill.webhooks.model import Dialect

Schema = Mapping[str, Any]


def openapi(
    *,
    title: str,
    description: str,
    version: str,
    base_path: str,
    operations: Iterable[Operation[Any]],
    components: Mapping[str, Any],
    security: list[Mapping[str, list[str]]],
    dialects: Sequence[Dialect] = (),
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an API. Parameters in a path are described from its braces.

    Its `webhooks` are the events of *dialects*.
    """
    paths: dict[str, Any] = {}
    for operation in operations:
        described = dict(operation.document)
        in_path = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", operation.path)]
        described["parameters"] = in_path + list(described.get("parameters", ()))
        described["x-permission"] = operation.permission
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": version},
        "servers": [{"url": base_path}],
        "security": security,
        "paths": paths,
        "webhooks": schema.openapi_webhooks(dialects),
        "components": {
            **components,
            "schemas": {**components.get("schemas", {}), **schema.openapi_components(dialects)},
        },
    }


def fields(required: Iterable[str] = (), /, **properties: Schema) -> dict[str, Any]:
    """Return the schema of an object that has no other fields."""
    return {**some(required, **properties), "additionalProperties": False}


def some(required: Iterable[str] = (), /, **properties: Schema) -> dict[str, Any]:
    """Return the schema of an object that may have other fields too."""
    return {"type": "object", "properties": properties, "required": sorted(required)}


def exactly(**properties: Schema) -> dict[str, Any]:
    """Return the schema of an object that always has exactly these fields."""
    return fields(properties, **properties)


def ref(kind: str, name: str) -> dict[str, str]:
    """Refer to a component, e.g. `ref("schemas", "Payment")`."""
    return {"$ref": f"#/components/{kind}/{name}"}


def answer(description: str, schema: Schema, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a JSON response."""
    described = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**described, "headers": headers} if headers else described


def body(schema: Schema, example: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Return a JSON request body."""
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
