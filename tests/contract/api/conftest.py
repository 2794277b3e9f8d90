from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opentill.db import Database
from tests.contract.api.counter import Counter, open_counter
from tests.contract.api.house import House, open_house


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    """Two shops behind both APIs."""
    opened = await open_house(database, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def counter(database: Database, tmp_path: Path) -> AsyncIterator[Counter]:
    """The PIX API before a shop at the sandbox bank."""
    async with open_counter(database, tmp_path) as counter:
        yield counter
