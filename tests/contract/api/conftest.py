from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opentill.db import Database
from tests.contract.api.house import House, open_house


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    """Two shops behind both APIs."""
    opened = await open_house(database, tmp_path)
    yield opened
    await opened.close()
