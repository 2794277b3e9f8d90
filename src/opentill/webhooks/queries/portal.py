"""Endpoints as those who look after them see them: state, health, and what waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentill.db import ReadTx, Row
from opentill.db.bulk import among, texts
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.owner import Owner
from opentill.webhooks.model import Breaker, DeliveryState, Endpoint, EndpointState
from opentill.webhooks.rules import Patience
from opentill.webhooks.store.by_state import in_state
from opentill.webhooks.store.endpoints import COLUMNS, as_endpoint

COUNTED_MAX: Final = 1000  # beyond this a count says "more"


@dataclass(frozen=True, slots=True)
class Card:
    """An endpoint with the health of its lane; counts end at `COUNTED_MAX`."""

    endpoint: Endpoint
    breaker: Breaker
    open_at: Instant
    failing_since: Instant | None
    failed_attempts: int
    last_ok_at: Instant | None
    due: int
    held: int
    dead: int
    fingerprint: str | None
    previous_until: Instant | None

    @property
    def health(self) -> str:
        """Return one word: good, failing, resting (behind an open breaker), idle, paused, disabled, unread."""
        match self.endpoint.state:
            case EndpointState.PAUSED:
                return "paused"
            case EndpointState.DISABLED:
                return "disabled"
        if self.endpoint.is_pulled:
            return "good" if self.last_ok_at is not None else "unread"
        if self.breaker in (Breaker.OPEN, Breaker.HALF_OPEN):
            return "resting"
        if self.failing_since is not None:
            return "failing"
        return "good" if self.last_ok_at is not None else "idle"

    def disable_at(self, patience: Patience) -> Instant | None:
        """Return when the endpoint is disabled if nothing gets better; None while nothing fails."""
        return None if self.failing_since is None else after(self.failing_since, patience.days * DAY)


def cards(tx: ReadTx, *, owner: Owner, names: Sequence[str]) -> list[Card]:
    """Return those of an owner's endpoints that are named, oldest first."""
    counted = """(select count(*) from (select 1 from {found} d
                    where d.endpoint_id = e.id limit :most) c{state}) as n{state}"""
    states = (DeliveryState.DUE, DeliveryState.DEAD, DeliveryState.HELD)
    found = tx.all(
        f"""
        select {COLUMNS}, l.breaker, l.open_at, l.failing_since, l.fail_run, l.last_ok_at,
               {", ".join(counted.format(found=in_state(tx, state), state=int(state)) for state in states)},
               (select fingerprint from webhook_secret s
                 where s.endpoint_id = e.id and s.retires_at is null) as fingerprint,
               (select max(retires_at) from webhook_secret s where s.endpoint_id = e.id) as previous_until
          from webhook_endpoint e join webhook_lane l on l.endpoint_id = e.id
         where e.merchant_id = :merchant_id and e.mode = :mode and e.kind in (0, 2) and e.state <> 3
           and e.public_id {among(tx, "names")}
         order by e.id
        """,
        merchant_id=owner.merchant_id,
        mode=int(owner.mode),
        names=texts(tx, names),
        most=COUNTED_MAX,
    )
    return [_as_card(row) for row in found]


def _as_card(row: Row) -> Card:
    return Card(
        endpoint=as_endpoint(row),
        breaker=Breaker(row["breaker"]),
        open_at=Instant(row["open_at"]),
        failing_since=row["failing_since"],
        failed_attempts=int(row["fail_run"]),
        last_ok_at=row["last_ok_at"],
        due=int(row["n0"]),
        held=int(row["n4"]),
        dead=int(row["n3"]),
        fingerprint=row["fingerprint"],
        previous_until=row["previous_until"],
    )
