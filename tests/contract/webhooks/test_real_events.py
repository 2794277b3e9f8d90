"""Events as the product records them: every one can be planned, and every body obeys its schema."""

from collections import Counter
from pathlib import Path

import pytest

from opentill.db import Database, Tx
from opentill.webhooks import planning, service
from opentill.webhooks.model import BOUNDS, Dialect, Options
from tests.contract.webhooks.schema import EMITTED, wrong_bodies
from tests.property.market import Market

pytestmark = [pytest.mark.anyio, pytest.mark.bar("C16")]


@pytest.mark.checklist("W3")
async def test_whatever_a_market_records_becomes_valid_bodies(database: Database, tmp_path: Path) -> None:
    async with Market(database, tmp_path, seed=7) as market:
        for shop in market.shops:
            for dialect in (Dialect.MERCHANT, Dialect.PIX):

                def register(tx: Tx, shop: object = shop, dialect: Dialect = dialect) -> None:
                    service.create_endpoint(
                        tx,
                        bounds=BOUNDS,
                        owner=shop.merchant.owner,  # type: ignore[attr-defined]
                        dialect=dialect,
                        url=f"https://{dialect.name.lower()}.example/hook",
                        options=Options(),
                        ids=market.scene.ids,
                        keyring=market.scene.keyring,
                        now=market.clock.now(),
                    )

                await database.write(register)
        await market.deal(500)
        while True:
            planned = await database.write(
                lambda tx: planning.plan(tx, ids=market.scene.ids, keyring=market.scene.keyring, now=market.clock.now())
            )
            assert planned.faults == {}
            if not planned.seqs:
                break

    rows = await database.read(lambda tx: [dict(row) for row in tx.all(EMITTED)])
    seen = Counter(str(row["wire_type"]) for row in rows)
    assert {"payment.completed", "pix.charge.created", "pix.charge.paid", "pix.charge.expired"} <= set(seen)
    assert wrong_bodies(rows) == {}
