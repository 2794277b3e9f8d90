"""What the hourly purge removes, and what it must not."""

import asyncio
from pathlib import Path

import psycopg

from opentill.db import Database, open_database
from opentill.kernel.clock import DAY, HOUR
from opentill.merchants import gateways
from opentill.payments import flow
from opentill.payments.review import proofs, submissions
from opentill.workers.resume import resume_loops
from opentill.workers.retain import retain
from tests.conftest import OPTIONS
from tests.contract.api.house import PAYMENT, House, open_house


async def test_expired_keys_are_removed_and_others_stay(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    await pays(house, "old")
    house.clock.advance(DAY - HOUR)
    await pays(house, "new")
    house.clock.advance(HOUR)

    await purges(house)

    assert await keys(house) == ["new"]
    await house.close()


async def test_a_key_that_is_used_again_while_it_is_purged_stays(postgres_url: str, tmp_path: Path) -> None:
    async with open_database(postgres_url, options=OPTIONS) as database:
        house = await open_house(database, tmp_path)
        await pays(house, "old")
        house.clock.advance(DAY + HOUR)

        async with await psycopg.AsyncConnection.connect(postgres_url) as request:
            await request.execute("update idempotency set state = 'running', expires_at = expires_at + %s", [DAY])
            purging = asyncio.create_task(purges(house))
            await asyncio.sleep(0.3)
            await request.commit()
        await purging

        assert await keys(house) == ["old"]
        await house.close()


async def test_proofs_go_half_a_year_after_their_payment_is_over(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    over, open_still = await proven(house), await proven(house)
    ended = "update payment set status = 'cancelled', detail = 'cancelled' where id = :id"
    await database.write(lambda tx: tx.run(ended, id=over))

    house.clock.advance(180 * DAY)
    assert (await retain(house.dependencies))["proofs"] == 0
    house.clock.advance(HOUR)
    assert (await retain(house.dependencies))["proofs"] == 1

    [left] = await database.read(
        lambda tx: tx.all("select s.payment_id from proof p join submission s on s.id = p.submission_id")
    )
    assert left["payment_id"] == open_still
    await house.close()


async def proven(house: House) -> int:
    """Return the id of a payment by hand with a proof of it."""
    tools, owner = house.dependencies.tools, house.shop.merchant.owner
    now, picture = tools.clock.now(), proofs.accept("proof.pdf", b"%PDF-1.7")
    await house.db.write(
        lambda tx: gateways.save_manual(tx, "wallet", name="Wallet", settings={}, owner=owner, now=now)
    )
    made = (await house.merchant("POST", "/payments", PAYMENT)).json()["data"]
    payment, _, _ = await flow.choose_gateway(tools, made["token"], "wallet")
    form = {"provider_trx_id": f"REF-{payment.id}"}
    await house.db.write(
        lambda tx: submissions.submit(
            tx, payment.id, form, [picture], owner=owner, ids=tools.ids, keyring=tools.keyring, now=now
        )
    )
    return payment.id


async def pays(house: House, key: str) -> None:
    answer = await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": key})
    assert answer.status == 201


async def purges(house: House) -> None:
    """Run the loops for a moment: each job has a turn at once."""
    stop = asyncio.Event()
    running = asyncio.create_task(resume_loops(house.dependencies, stop))
    await asyncio.sleep(0.6)
    stop.set()
    await running


async def keys(house: House) -> list[str]:
    rows = await house.db.read(lambda tx: tx.all("select key from idempotency order by key"))
    return [row["key"] for row in rows]
