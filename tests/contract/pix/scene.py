"""A sandbox bank with one account, and an adapter that speaks to it, inside this process or over loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn

from opentill.kernel.clock import SECOND, Clock, ManualClock, SystemClock
from opentill.kernel.ids import Ids, SystemIds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret
from opentill.outbound import AllowList, Outbound
from opentill.pix import identifiers
from opentill.pix.keys import KeyType
from opentill.pix.port import ChargeRequest, PayoutRequest, ProviderCall, ToKey
from opentill.pix.providers.bacen import BacenReceiver, Credentials, Profile, load_profile
from opentill.pix.providers.http import OverHttp
from opentill.pix.providers.in_process import InProcess
from opentill.pix.providers.payloads import Payloads
from opentill.pix.providers.sandbox import SandboxPayer
from opentill.pix.providers.transport import RawAnswer, Transport
from opentill.sandbox_psp import SandboxBank

KEY = "123e4567-e12b-12d1-a456-426655440000"
OTHER_KEY = "+5511987654321"
DOCUMENT = "11222333000181"
CREDENTIALS = Credentials("shop", Secret("shop-secret"))
SIM_TOKEN = Secret("sim-token")
HOOK = "https://pay.example.com/hooks/pix/1/token"
BANK_HOST = "pix.sandbox.opentill.test"
IN_PROCESS_URL = f"https://{BANK_HOST}"


@dataclass
class Scene:
    """The bank, the way to it, and what a test has seen."""

    bank: SandboxBank
    transport: Transport
    url: str
    clock: Clock
    ids: Ids
    calls: list[ProviderCall] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    hook_status: int = 200

    @property
    def profile(self) -> Profile:
        plain = load_profile("sandbox", Mode.SANDBOX)
        return replace(
            plain,
            base_url=f"{self.url}/api/v2",
            token_url=f"{self.url}/oauth/token",
            payout_base_url=f"{self.url}/envio/v1",
        )

    def receiver(self, credentials: Credentials = CREDENTIALS, **changed: Any) -> BacenReceiver:
        """Return a new adapter, without a token yet."""
        profile = replace(self.profile, **changed)
        return BacenReceiver(
            profile, credentials, self.transport, clock=self.clock, ids=self.ids, observe=self.calls.append
        )

    def payer(self, credentials: Credentials = CREDENTIALS) -> SandboxPayer:
        """Return a new driver for paying out, without a token yet."""
        payloads = Payloads(self.transport, frozenset({BANK_HOST}), self.clock)
        return SandboxPayer(
            self.profile,
            credentials,
            self.transport,
            payloads,
            clock=self.clock,
            ids=self.ids,
            observe=self.calls.append,
        )

    def payout(self, amount_centavos: int = 2000, **more: Any) -> PayoutRequest:
        """Return a request for a new payout."""
        ref = identifiers.payout_id(self.ids, self.clock.now())
        target = ToKey("beatriz@example.com", KeyType.EMAIL)
        return PayoutRequest(**({"ref": ref, "amount_centavos": amount_centavos, "target": target} | more))

    def credentials(self, client_id: str) -> Credentials:
        """Return what the owner of another account authenticates with."""
        return Credentials(client_id, Secret(f"{client_id}-secret"))

    async def bank_call(self, method: str, path: str, document: object = None) -> RawAnswer:
        """Make a call the adapter has no use for."""
        form = b"grant_type=client_credentials&client_id=shop&client_secret=shop-secret"
        token = await self.transport.request("POST", f"{self.url}/oauth/token", {}, form, 5)
        headers = {"Authorization": f"Bearer {json.loads(token.body)['access_token']}"}
        body = b"" if document is None else json.dumps(document).encode()
        return await self.transport.request(method, f"{self.url}{path}", headers, body, 5)

    def request(self, amount_centavos: int = 3000, **more: Any) -> ChargeRequest:
        """Return a request for a new charge."""
        txid = identifiers.provider_txid(identifiers.charge_id(self.ids))
        return ChargeRequest(
            **({"txid": txid, "amount_centavos": amount_centavos, "key": KEY, "expires_in_s": 3600} | more)
        )

    async def sim(self, method: str, hook: str, document: dict[str, Any] | None = None) -> Any:
        """Use a simulation hook and return the document it answers."""
        answer = await self.sim_raw(method, hook, document)
        assert answer.status < 300, answer
        return json.loads(answer.body) if answer.body else None

    async def sim_raw(
        self, method: str, hook: str, document: dict[str, Any] | None = None, token: str = SIM_TOKEN.reveal()
    ) -> RawAnswer:
        body = b"" if document is None else json.dumps(document).encode()
        return await self.transport.request(method, f"{self.url}/_sim/{hook}", {"X-Sim-Token": token}, body, 5)

    async def fault(self, operation: str, fault: str, **more: Any) -> None:
        """Have the account meet a fault once."""
        await self.sim("POST", "faults", {"client_id": "shop", "operation": operation, "fault": fault} | more)

    async def state(self, txid: str) -> dict[str, Any] | None:
        """Return how the bank has a charge."""
        charges = (await self.sim("GET", "state"))["charges"]
        return next((charge for charge in charges if charge["txid"] == txid), None)

    async def hook(self, url: str, body: bytes) -> int:
        """Take a notification of the bank."""
        self.told.append((url, json.loads(body)))
        return self.hook_status

    async def tick(self) -> int:
        """Have the bank do what is due."""
        return await self.bank.tick(self.hook)

    async def passes(self, seconds: int = 1) -> int:
        """Let time pass, and have the bank do what is due by then."""
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(seconds * SECOND)
        return await self.tick()


@asynccontextmanager
async def in_process(
    folder: Path, clock: Clock | None = None, ids: Ids | None = None, **settings: Any
) -> AsyncIterator[Scene]:
    """A bank in this process."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    bank = open_bank(folder, clock, ids, **settings)
    yield Scene(bank, InProcess(bank), IN_PROCESS_URL, clock, ids)
    bank.close()


@asynccontextmanager
async def over_loopback(folder: Path) -> AsyncIterator[Scene]:
    """A bank behind a real server, reached by the guarded client."""
    clock, ids = SystemClock(), SystemIds()
    bank = open_bank(folder, clock, ids)
    async with served(bank) as url, Outbound(allow=AllowList.development()) as client:
        yield Scene(bank, OverHttp(client, plain_http=True), url, clock, ids)
    bank.close()


@asynccontextmanager
async def served(app: Any, lifespan: str = "off") -> AsyncIterator[str]:
    """Serve an application on loopback and give its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan=lifespan, log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


def open_bank(folder: Path, clock: Clock, ids: Ids, **settings: Any) -> SandboxBank:
    """Open the books in *folder*, with the shop's account in them."""
    bank = SandboxBank(folder / "bank.db", clock=clock, ids=ids, sim_token=SIM_TOKEN, break_after_s=0.02, **settings)
    bank.open_account(
        client_id=CREDENTIALS.client_id,
        client_secret=CREDENTIALS.client_secret.reveal(),
        document=DOCUMENT,
        name="Loja Exemplo",
        city="São Paulo",
        keys=[KEY, OTHER_KEY],
    )
    return bank
