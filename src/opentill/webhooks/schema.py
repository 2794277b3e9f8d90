"""The published schema of every body (webhooks.md appendix A): as it stands, as a check, and as OpenAPI.

`schemas/bundle.json` has one definition per dialect and event, `schemas/samples.json` one sample body of each.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from opentill.webhooks.model import Dialect

_FOLDER: Final = files("opentill.webhooks") / "schemas"
_DEFINED: Final = "#/$defs/"
_COMPONENT: Final = "#/components/schemas/"
PREFIX: Final = "webhook."  # of components, so that none meets an API's own

OWN_HEADERS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    Dialect.MERCHANT: (
        "X-OwnPay-Event", "X-OwnPay-Delivery", "X-OwnPay-Attempt", "X-OwnPay-Timestamp", "X-OwnPay-Signature",
        "X-Signature", "X-OP-Signature",
    ),
    Dialect.PIX: (
        "X-Owem-Event-Id", "X-Owem-Event-Type", "X-Owem-Timestamp", "X-Owem-Signature", "X-OpenTill-Delivery-Id",
        "X-OpenTill-Attempt",
    ),
    Dialect.STANDARD: ("X-OpenTill-Delivery-Id", "X-OpenTill-Attempt"),
}  # fmt: skip
STANDARD_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


def text() -> bytes:
    """Return the bundle as it is published."""
    return (_FOLDER / "bundle.json").read_bytes()


@cache
def definitions() -> Mapping[str, Any]:
    """Return every definition by its name."""
    found: dict[str, Any] = json.loads(text())["$defs"]
    return found


@cache
def samples() -> Mapping[str, Any]:
    """Return a body for every definition of an event, by its name."""
    found: dict[str, Any] = json.loads((_FOLDER / "samples.json").read_bytes())
    return found


def name_of(dialect: Dialect, event: str) -> str:
    """Return the name of an event's definition: `pix:pix.charge.paid`."""
    return f"{dialect.name.lower()}:{event}"


def events_of(dialect: Dialect) -> list[str]:
    """Return the events of a dialect, in the order of the bundle."""
    prefix = name_of(dialect, "")
    return [name.removeprefix(prefix) for name in definitions() if name.startswith(prefix)]


def schema_of(name: str) -> dict[str, Any]:
    """Return a definition as a schema of its own, with what it refers to and nothing else."""
    needed = {other: definitions()[other] for other in _closure([name]) if other != name}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **definitions()[name], "$defs": needed}


def faults_in(body: bytes, variant: str, event: str) -> list[str]:
    """Return what the schema objects to in a body of a variant; nothing is as it should be."""
    name = f"{variant.partition('/')[0]}:{event}"
    if name not in definitions():
        return [f"there is no schema {name}"]
    return [f"{fault.json_path}: {fault.message}" for fault in _validator(name).iter_errors(json.loads(body))]


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator  # loaded only where bodies are checked

    return Draft202012Validator({"$ref": f"{_DEFINED}{name}", "$defs": definitions()})


# As OpenAPI.


def openapi_webhooks(dialects: Iterable[Dialect]) -> dict[str, Any]:
    """Return the `webhooks` section of an API's document. Names of the standard dialect begin with `standard:`."""
    return {
        (event if dialect is not Dialect.STANDARD else name_of(dialect, event)): {"post": _operation(dialect, event)}
        for dialect in dialects
        for event in events_of(dialect)
    }


def openapi_components(dialects: Iterable[Dialect]) -> dict[str, Any]:
    """Return the schemas that `openapi_webhooks` refers to."""
    names = [name_of(dialect, event) for dialect in dialects for event in events_of(dialect)]
    return {_component(name): _moved(definitions()[name]) for name in _closure(names)}


def _operation(dialect: Dialect, event: str) -> dict[str, Any]:
    name = name_of(dialect, event)
    content: dict[str, Any] = {"schema": {"$ref": f"{_COMPONENT}{_component(name)}"}}
    if name in samples():
        content["example"] = samples()[name]
    return {
        "operationId": _component(name),
        "summary": event,
        "description": "Sent to endpoints of this dialect. Answer 2xx first, work later; drop an event id seen before.",
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "required": header in OWN_HEADERS[dialect], "schema": {"type": "string"}}
            for header in (*OWN_HEADERS[dialect], *STANDARD_HEADERS)
        ],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"2XX": {"description": "Received. Every other answer is tried again on the schedule."}},
    }


def _closure(names: Iterable[str]) -> list[str]:
    """Return definitions with all they refer to, each once."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting.extend(_references(definitions()[name]))
    return list(found)


def _references(value: object) -> list[str]:
    if isinstance(value, Mapping):
        own = value.get("$ref")
        inner = [name for part in value.values() for name in _references(part)]
        return [own.removeprefix(_DEFINED), *inner] if isinstance(own, str) else inner
    if isinstance(value, list):
        return [name for part in value for name in _references(part)]
    return []


def _moved(value: Any) -> Any:
    """Return a definition whose references lead to components."""
    if isinstance(value, Mapping):
        return {
            key: f"{_COMPONENT}{_component(part.removeprefix(_DEFINED))}" if key == "$ref" else _moved(part)
            for key, part in value.items()
        }
    return [_moved(part) for part in value] if isinstance(value, list) else value


def _component(name: str) -> str:
    return PREFIX + name.replace(":", ".")
