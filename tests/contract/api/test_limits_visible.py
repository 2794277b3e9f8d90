"""Limits are visible: every answer that has rate headers by its document has them (bars.md U13). Generated."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from tests.contract.api.client import Response
from tests.contract.api.house import House
from tests.security.test_isolation import CASES, Case, ask, powerful

pytestmark = [pytest.mark.anyio, pytest.mark.bar("U13")]

DOCUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {"merchant": MERCHANT, "pix": EXTERNAL}


def found(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within *document*."""
    while "$ref" in node:
        target: Any = document
        for name in str(node["$ref"]).removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def promised(case: Case, answer: Response) -> set[str]:
    """Return the rate headers that the document gives this answer."""
    document = DOCUMENTS[case.api]
    responses = document["paths"][case.path][case.method.lower()]["responses"]
    assert str(answer.status) in responses, (answer.status, answer.body)
    headers = found(document, responses[str(answer.status)]).get("headers", {})
    return {name.lower() for name in headers if name.lower().startswith("x-ratelimit")}


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_answer_says_how_much_is_left(house: House, case: Case) -> None:
    shop = await powerful(house, house.shop)
    target = re.sub(r"\{\w+\}", "1", case.path)

    first, second = [await ask(house, case, shop, target) for _ in range(2)]

    assert promised(case, first) <= set(first.headers), first.headers
    if "x-ratelimit-remaining" in promised(case, first) & promised(case, second):
        assert int(second.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1
        assert int(first.headers["x-ratelimit-limit"]) > int(first.headers["x-ratelimit-remaining"])
