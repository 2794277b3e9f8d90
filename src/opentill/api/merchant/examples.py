"""An example of every answer of the merchant API, for its document.

`examples.json` holds answers that it gave: by operation and status, and for each family of errors what any call may
be told. `python -m tests.contract.api.write_examples` has it give them anew.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from opentill.api.merchant.errors import SERVER_ERROR

KEPT: Final[Mapping[str, Mapping[str, Any]]] = json.loads(
    (files("opentill.api.merchant") / "examples.json").read_text(encoding="utf-8")
)
FAMILIES: Final = {"Error": "client", "SeedError": "seed"}
_ANY: Final = {"success": False, "error": True, "request_id": "7f0c1f0e9d5b4b3e8a60c3f1d2a49b11"}
_BROKEN: Final = {**_ANY, "message": SERVER_ERROR, "code": "INTERNAL_ERROR"}
_AWAY: Final = {
    **_ANY, "message": "The service cannot do this now. Try again in 2 seconds.", "code": "SERVICE_UNAVAILABLE",
    "retry_after": 2,
}  # fmt: skip


def give_examples(document: Mapping[str, Any]) -> None:
    """Put an example into every answer of a document. What any call may be told is written down once."""
    document["components"]["examples"] = {
        f"{family}-{status}": {"value": body}
        for family in FAMILIES.values()
        for status, body in {**KEPT.get(family, {}), **_faults(family)}.items()
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            own, family = KEPT.get(operation["operationId"], {}), _family(operation)
            for status, response in operation["responses"].items():
                shared = {"$ref": f"#/components/examples/{family}-{status}"}
                example = {"value": own[status]} if status in own else shared
                response["content"]["application/json"]["examples"] = {"answer": example}


def _family(operation: Mapping[str, Any]) -> str:
    schema: str = operation["responses"]["500"]["content"]["application/json"]["schema"]["$ref"]
    return FAMILIES[schema.rpartition("/")[2]]


def _faults(family: str) -> dict[str, Any]:
    """Return what a family says of a fault and of being away."""
    if family == "seed":
        return {"500": _BROKEN, "503": _AWAY}
    return {
        status: {**body, "errors": [{"code": body["code"], "message": body["message"], "field": None}]}
        for status, body in (("500", _BROKEN), ("503", _AWAY))
    }
