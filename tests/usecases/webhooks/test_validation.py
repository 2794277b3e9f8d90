"""Bodies can be held against their schemas while planning: a violation is told, and sent all the same (§10)."""

import pytest

from opentill.webhooks import planning
from opentill.webhooks.planning import Planned
from tests.contract.webhooks import documents as doc
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


async def planned(bench: Bench) -> Planned:
    engine = bench.engine
    return await bench.db.write(
        lambda tx: planning.plan(tx, ids=engine.ids, keyring=engine.keyring, now=engine.now(tx), validates=True)
    )


async def test_a_body_as_it_should_be_raises_no_voice(bench: Bench) -> None:
    await bench.endpoint()
    await bench.happens(bench.event())
    assert (await planned(bench)).violations == {}


async def test_a_body_its_schema_objects_to_is_named_and_sent(bench: Bench) -> None:
    await bench.endpoint()
    [event_id] = await bench.happens(bench.event(payment=doc.payment(reference="no reference")))
    done = await planned(bench)
    assert done.violations.keys() == {event_id}
    assert "merchant/1.0/string payment.completed" in done.violations[event_id]
    assert "no reference" in done.violations[event_id]
    await bench.deliver()
    assert bench.receiver.event_ids() == [event_id]
    await bench.db.write(lambda tx: tx.run("delete from webhook_payload"))  # the suite itself refuses such a body
