"""Use cases of endpoints that leave the process between transactions."""

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
) -> Tested:
    """Send `webhook.test` to one endpoint, by id or `wh_…`, or to the oldest active one. One attempt, logged.

    Raises `EndpointNotFound` or `NotActive`; what the receiver does is in the result.
    """

    def begin(tx: Tx) -> Job:
        return begin_test(tx, engine, owner=owner, dialect=dialect, endpoint_id=endpoint_id, by=by, message=message)

    return await finish_test(engine, await engine.db.write(begin))


def begin_test(
    tx: Tx,
    engine: Engine,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str | None,
    by: By,
    message: str = service.TEST_MESSAGE,
) -> Job:
    """Claim a test in the caller's transaction, for `finish_test` right after it. Raises as `send_test`."""
    endpoint = service.endpoint_to_test(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    return service.claim_test(
        tx,
        endpoint=endpoint,
        worker=engine.worker,
        ids=engine.ids,
        now=engine.now(tx),
        message=message,
        lease_s=engine.lease_s,
        by=by,
    )


async def finish_test(engine: Engine, job: Job) -> Tested:
    """Make the one attempt of a test that was begun, record it, and return what became of it."""
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
