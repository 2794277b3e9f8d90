"""S14: schemathesis over each OpenAPI document, authenticated and not, stateful: no 5xx, nothing undocumented.

Slow, so it is run by `make fuzz` and by the bar, not by `make test`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from opentill.api.merchant.feed import WAIT_MAX_S
from tests.conftest import new_postgres_database
from tests.e2e.server import Server, started

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
HOOKS = Path(__file__).with_name("hooks.py")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"OPENTILL_ADDRESS_RATE_LIMIT": "1000000", "OPENTILL_KEY_RATE_LIMIT": "1000000"}
    with ExitStack() as opened:
        if request.param == "postgres":
            settings["OPENTILL_DATABASE_URL"] = opened.enter_context(new_postgres_database())
        yield opened.enter_context(started(tmp_path_factory.mktemp("fuzz") / "data", **settings))


@pytest.mark.bar("S14", gate={"seconds": 300}, target={"seconds": 7200}, quick={"seconds": 20})
@pytest.mark.parametrize("known", [True, False], ids=["with credentials", "without"])
@pytest.mark.parametrize("api", ["merchant", "pix"])
def test_no_request_meets_a_fault_or_an_undocumented_answer(
    server: Server,
    api: str,
    known: bool,
    bar_size: dict[str, int],
    bar_seed: int,
    bar_value: Callable[[float], None],
    tmp_path: Path,
) -> None:
    base = server.url + ("/api/v1" if api == "merchant" else "/api/external")
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}
    words = ["--max-time", str(max(bar_size["seconds"] // 4, 1)), "--seed", str(bar_seed % 2**31)]
    words += ["--checks", ",".join(CHECKS), "--suppress-health-check", "all", "--continue-on-failure"]
    words += ["--request-timeout", str(WAIT_MAX_S + 10)]  # a feed may be asked to wait as long as its document says
    if known and api == "merchant":
        words += ["--header", f"Authorization: Bearer {server.shop['merchant_api_key']}"]
    if known and api == "pix":
        environment["FUZZ_CLIENT_SECRET"] = server.shop["client_secret"]
        words += ["--header", f"Authorization: ApiKey {server.shop['client_id']}:{server.shop['client_secret']}"]
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "run", f"{base}/openapi.json", "--url", base, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    bar_value(done.stdout.count("Reproduce with"))
    assert done.returncode == 0, told(done.stdout) + done.stderr[-2_000:]


def told(output: str) -> str:
    """Return what went wrong, of all that is said."""
    _, _, failures = output.partition(" FAILURES ")
    return (failures.partition(" WARNINGS ")[0] or output)[:12_000]
