"""The shop that the tests of this folder deal with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opentill.db import Database
from tests.usecases.pix.shop import Shop, open_shop


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as shop:
        yield shop
