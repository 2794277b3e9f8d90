from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.servers import Install, installed


@pytest.fixture(params=["sqlite", "postgres"])
def till(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Install]:
    """An install of this test's own, with nothing of it running yet."""
    request.node.user_properties.append(("database", request.param))
    with installed(tmp_path / "till", request.param) as install:
        yield install
