"""What is shown when something is wrong: always a page, never more than the reader should know."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from opentill.db import Unavailable
from opentill.kernel.clock import ManualClock
from opentill.kernel.errors import Busy, Conflict, NotFound
from opentill.kernel.ids import SeededIds
from opentill.web.pages import Pages
from tests.make import NOW

FAILURES = {
    "missing": NotFound("X", "secret detail"),
    "refused": Conflict("X", "secret detail"),
    "busy": Busy("X", "secret detail", retry_after_s=7),
    "away": Unavailable("secret detail"),
    "broken": RuntimeError("secret detail"),
}


def client() -> httpx.AsyncClient:
    async def fail(request: Request) -> Response:
        raise FAILURES[request.path_params["how"]]

    pages = Pages(ids=SeededIds(7, ManualClock(NOW)), public_url="http://127.0.0.1:8000")
    app = pages.application([Route("/{how}", fail)], surface="test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("how", "status", "heading", "retry_after"),
    [
        ("missing", 404, "There is nothing here", None),
        ("refused", 409, "That did not work", None),
        ("busy", 503, "Busy for a moment", "7"),
        ("away", 503, "Busy for a moment", "1"),
        ("broken", 500, "Something went wrong on our side", None),
    ],
)
async def test_every_failure_has_a_page_that_keeps_its_details(
    how: str, status: int, heading: str, retry_after: str | None
) -> None:
    with capture_logs() as logs:
        answer = await client().get(f"/{how}")

    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
    assert f"<h1>{heading}</h1>" in answer.text
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert [(line["status"], line["operation"]) for line in logs if line["event"] == "request"] == [(status, "fail")]


async def test_a_page_that_broke_names_the_request_the_log_tells_of() -> None:
    with capture_logs() as logs:
        answer = await client().get("/broken")

    request_id = answer.headers["x-request-id"]
    assert request_id in answer.text
    [told] = [line for line in logs if line["event"] == "unexpected error"]
    assert told["request_id"] == request_id
    assert "secret" not in str({key: value for key, value in told.items() if key != "exc_info"})


async def test_the_log_never_holds_the_address_of_a_page() -> None:
    with capture_logs() as logs:
        await client().get("/missing?token=hush")
    assert "hush" not in str(logs)
    assert "missing" not in str(logs)
