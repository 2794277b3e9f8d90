"""Use cases of endpoints that leave the process between transactions."""

from collections.abc import Callable
from dataclasses import dataclass

from opentill.db import Tx
from opentill.kernel.owner import Owner
from opentill.webhooks import completion, metrics, sending, service
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import OWNER, By, Dialect, Job, Result


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test: its ids, the outcome (`ok` is success), and what a person can be told."""

    event_id: str
    delivery_id: str
    outcome: str
    status: int | None
    duration_us: int
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.outcome == "ok"


async def send_test(
    engine: Engine,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str | None = None,
    message: str = service.TEST_MESSAGE,
    by: By = OWNER,
    claim: Callable[[Tx], None] = lambda _tx: None,
) -> Tested:
    """Send `webhook.test` to one endpoint, by id or `wh_…`, or to the oldest active one. One attempt, logged.

    *claim* runs in the transaction that stores the test, before it. Raises what that raises, `EndpointNotFound` or
    `NotActive`; what the receiver does is in the result.
    """

    def begin(tx: Tx) -> Job:
        claim(tx)
        return service.claim_test(
            tx,
            endpoint=service.endpoint_to_test(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id),
            worker=engine.worker,
            ids=engine.ids,
            now=engine.now(tx),
            message=message,
            lease_s=engine.lease_s,
            by=by,
        )

    job = await engine.db.write(begin)
    result = await sending.attempt(engine, job)
    metrics.attempted(job, result)
    await engine.db.write(
        lambda tx: completion.complete(tx, [result], ids=engine.ids, chance=engine.chance, patience=engine.patience)
    )
    return _tested(job, result)


def _tested(job: Job, result: Result) -> Tested:
    error = None if result.detail is None else result.detail.get("error")
    return Tested(
        event_id=job.claimed.event_id,
        delivery_id=job.claimed.public_id,
        outcome=result.outcome,
        status=result.status,
        duration_us=result.duration_us,
        error=error,
    )
