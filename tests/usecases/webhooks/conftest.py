"""An engine on a fresh database, for each test."""

import pytest

from opentill.db import Database
from tests.usecases.webhooks.engine import Bench


@pytest.fixture
async def bench(database: Database) -> Bench:
    return await Bench(database).start()
