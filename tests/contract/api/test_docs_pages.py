"""The pages at /docs: whole, from this installation alone, and safe to show (merchant-api.md §9.1)."""

import re

import pytest

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from opentill.web.assets import Assets
from tests.contract.api.house import House

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("api", ["merchant", "pix"])
async def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(house: House, api: str) -> None:
    call, document = (house.merchant, MERCHANT) if api == "merchant" else (house.pix, EXTERNAL)
    answer = await call("GET", "/docs", headers={"authorization": ""})
    page = answer.body.decode()

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
            assert path in page
    loaded = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded)
    assert all(Assets().url(address.split("/", 3)[3]) == address for address in loaded if address.startswith("/assets"))
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<style" not in page
    assert "<script>" not in page
    assert "style=" not in page
