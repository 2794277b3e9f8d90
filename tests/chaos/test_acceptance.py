"""The first sentences of the delivery engine's acceptance, on a fresh installation (webhooks.md §16.7)."""

import asyncio
import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from bench.cluster import NoPostgres
from standardwebhooks import Webhook

from opentill.db import Database, Tx
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Secret
from opentill.webhooks import service as webhooks
from opentill.webhooks.model import BOUNDS, Dialect, Options
from opentill.webhooks.signing import standard_form
from tests.bars import size_name
from tests.chaos.clients import Client, Order
from tests.chaos.load import PAID_BY_ITSELF
from tests.chaos.servers import Install, Process, start
from tests.chaos.test_random_kills import SHORT_LEASES, assert_nothing_is_left, drained, rows
from tests.chaos.test_stopped_database import StoppableCluster
from tests.contract.webhooks.schema import EMITTED, wrong_bodies
from tests.fakes.receiver import Received, Receiver

# Ten minutes, or as many seconds in the ordinary suite; so few tries fail then that no breaker opens.
DOWN_S: Final = {"quick": 10.0, "gate": 600.0, "target": 600.0}
TRIED_AGAIN_S: Final = {"quick": 8, "gate": 60, "target": 60}
ARRIVES_S_MAX: Final = {"quick": 150.0, "gate": 1_200.0, "target": 1_200.0}
DELIVERIES: Final = "select e.id as event_id, d.endpoint_id from webhook_delivery d join event e on e.seq = d.event_seq"
PAID: Final = {"merchant": "payment.completed", "pix": "pix.charge.paid", "standard": "payment.completed"}


@dataclass
class Acceptance:
    """An installation, its processes, a shop, and one endpoint for each dialect."""

    till: Install
    cluster: StoppableCluster | None
    database: Database
    client: Client
    processes: list[Process]
    port: int = 0
    secrets: dict[str, Secret] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    @property
    def worker(self) -> Process:
        return self.processes[-1]

    def receiver(self) -> Receiver:
        """Return the shop's receiver, always at the same address."""
        return Receiver(port=self.port, check=self.received.append)

    async def register(self, port: int, schedule: tuple[int, ...]) -> None:
        """Make an endpoint for each dialect."""
        self.port = port

        def make(tx: Tx) -> None:
            owner = Owner(tx.all("select id from merchant")[0]["id"], Mode.SANDBOX)
            for dialect in Dialect:
                name = dialect.name.lower()
                _, self.secrets[name] = webhooks.create_endpoint(
                    tx,
                    bounds=BOUNDS,
                    owner=owner,
                    dialect=dialect,
                    url=f"http://127.0.0.1:{port}/{name}",
                    options=Options(schedule=schedule, allow_insecure=True),
                    ids=SystemIds(),
                    keyring=self.till.keyring,
                    now=SystemClock().now(),
                )

        await self.database.write(make)

    async def pays(self, number: int) -> None:
        """Have a payer pay a PIX charge at the sandbox bank."""
        asked = {"amount": PAID_BY_ITSELF, "external_id": f"o-{number}"}
        made = await self.client.insist(Order("/api/external/pix/cash-in", asked, f"pix {number}"))
        assert made.status == 200, made.body

    def heard_of(self, name: str) -> int:
        """Return how many payments one receiver knows to be paid."""
        mine = [one for one in self.received if one.path == f"/{name}"]
        return len({one.header("webhook-id") for one in mine if PAID[name] in one.body.decode()})

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(ARRIVES_S_MAX[size_name()]):
            while any(self.heard_of(name) < count for name in PAID):  # noqa: ASYNC110 - requests come when they come
                await asyncio.sleep(0.1)


@pytest.fixture(params=["sqlite", "postgres"])
async def accepted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Acceptance]:
    """A fresh installation that runs, on a database of its own."""
    request.node.user_properties.append(("database", request.param))
    with ExitStack() as beneath:
        cluster = None
        if request.param == "postgres":
            cluster = StoppableCluster(tmp_path)
            cluster.given = ""  # never a server that somebody else uses
            try:
                beneath.enter_context(cluster)
            except NoPostgres as missing:
                pytest.skip(str(missing))
        till = Install(tmp_path / "till", cluster.create("till") if cluster else "")
        beneath.callback(till.stop)
        till.data.mkdir()
        till.chosen |= SHORT_LEASES
        till.run("migrate")
        shop, web = till.add_shop(), till.web()
        processes = [web] if till.embedded else [web, till.worker()]
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(till.open_database())
            client = await stack.enter_async_context(Client(shop, [web]))
            await start(*processes)
            yield Acceptance(till, cluster, database, client, processes)


def assert_genuine(request: Received, secret: Secret) -> None:
    """Verify a request with a published library, and with the formula of its dialect's document."""
    found = {name.lower(): value for name, value in request.headers}
    Webhook(standard_form(secret).reveal()).verify(request.body, found)
    key = secret.reveal().encode()
    match request.path:
        case "/merchant":
            expected = hmac.new(key, request.body, hashlib.sha256).hexdigest()
            assert found["x-ownpay-signature"] == f"sha256={expected}"
        case "/pix":
            signed = found["x-owem-timestamp"].encode() + b"." + request.body
            assert found["x-owem-signature"] == "sha256=" + hmac.new(key, signed, hashlib.sha256).hexdigest()


@pytest.mark.checklist("W1", "W2", "W3")
async def test_a_sandbox_payment_reaches_all_three_dialects_genuine_and_valid(accepted: Acceptance) -> None:
    async with accepted.receiver() as receiver:
        await accepted.register(receiver.port, ())
        await accepted.pays(1)
        await accepted.until_heard(1)
    for request in accepted.received:
        assert_genuine(request, accepted.secrets[request.path[1:]])
        assert isinstance(json.loads(request.body), dict)
    emitted: list[Mapping[str, Any]] = await rows(accepted.database, EMITTED)
    assert len(emitted) >= len(PAID)
    assert wrong_bodies(emitted) == {}  # type: ignore[arg-type]


@pytest.mark.checklist("W4")
async def test_with_the_receiver_down_workers_killed_and_the_database_restarted_every_event_arrives(
    accepted: Acceptance,
) -> None:
    down_s = DOWN_S[size_name()]
    async with accepted.receiver() as receiver:
        await accepted.register(receiver.port, (TRIED_AGAIN_S[size_name()],) * 20)

    await accepted.pays(1)
    for _ in range(2):
        await asyncio.sleep(down_s / 4)
        accepted.worker.kill()
        await start(accepted.worker)
    if accepted.cluster is not None:
        await asyncio.to_thread(accepted.cluster.crash)
        await asyncio.to_thread(accepted.cluster.start_again)
    await asyncio.sleep(down_s / 2)
    await accepted.pays(2)

    async with accepted.receiver():
        await accepted.until_heard(2)
        await drained(accepted.till, accepted.database)
    recorded = await rows(
        accepted.database,
        "select d.id, e.id as event_id, d.endpoint_id from webhook_delivery d join event e on e.seq = d.event_seq",
    )
    arrived = Counter((one.path, one.header("webhook-id")) for one in accepted.received)
    assert len(arrived) == len(recorded)
    assert {event_id for _, event_id in arrived} == {row["event_id"] for row in recorded}
    bodies = defaultdict(set)
    for request in accepted.received:
        bodies[request.path, request.header("webhook-id")].add(request.body)
        assert_genuine(request, accepted.secrets[request.path[1:]])
    assert {len(seen) for seen in bodies.values()} == {1}
    await assert_nothing_is_left(accepted.database)
