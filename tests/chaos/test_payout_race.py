"""Bar C6: many payouts at once, approved, stopped and sent while they race (pix-api.md §21, X34)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from opentill.db import Database, ReadTx, Tx
from opentill.kernel.clock import SECOND
from opentill.kernel.errors import Refused
from opentill.kernel.money import from_minor
from opentill.ledger import AVAILABLE, HELD
from opentill.ledger import queries as ledger
from opentill.ledger.model import Account as Pot
from opentill.merchants.model import Merchant
from opentill.payments.pix import service as money
from opentill.pix import service as pix
from opentill.pix import store as accounts
from opentill.pix.identifiers import end_to_end_id
from opentill.pix.keys import Key, KeyType
from opentill.pix.model import BRL, Account
from opentill.pix.payouts import flow, service, verification
from opentill.pix.payouts.model import Order, Payout, State
from opentill.pix.policy import Policy, set_policy
from opentill.pix.port import NotSent, PixPayout, ProviderReceipt, ReceiptPayer, ToKey
from opentill.pix.tools import PayoutTools
from tests.fakes.payout_bank import PayoutBank
from tests.make import Scene

pytestmark = pytest.mark.anyio
ASKED = 100
TENTH = 1_000  # centavos
AUDITED_EVERY = 20  # schedules: the auditor reads all of the books, and a fault in them stays


@dataclass
class Desk:
    """What payouts need, for one merchant and its bank."""

    db: Database
    scene: Scene
    bank: PayoutBank
    merchant: Merchant
    account_id: int
    refusals: set[str] = field(default_factory=set)

    @property
    def clock(self) -> object:
        return self.scene.clock

    @property
    def ids(self) -> object:
        return self.scene.ids

    @property
    def payer(self) -> Callable[[Account], PixPayout]:
        return lambda _account: self.bank

    async def sends(self) -> Payout | None:
        """Ask for a tenth of the balance; None where it is refused."""
        order = Order(from_minor(TENTH, BRL), ToKey("fulano@example.com", KeyType.EMAIL), "fulano@example.com")
        now = self.scene.clock.now()
        try:
            return await self.db.write(
                lambda tx: service.accept(
                    tx, order, owner=self.merchant.owner, by="maker", own_e2e=True, ids=self.scene.ids, now=now
                )
            )
        except Refused as refused:
            self.refusals.add(refused.message)
            return None

    async def decides(self, payout: Payout, *, approve: bool) -> None:
        owner, ids, now = self.merchant.owner, self.scene.ids, self.scene.clock.now()

        def work(tx: Tx) -> Payout:
            if approve:
                return service.approve(tx, payout.id, owner=owner, by="checker", now=now)
            return service.reject(tx, payout.id, owner=owner, by="checker", reason=None, ids=ids, now=now)

        try:
            await self.db.write(work)
        except Refused as refused:
            self.refusals.add(refused.message)

    async def works(self) -> None:
        tools: PayoutTools = self  # type: ignore[assignment]
        await flow.work_due(tools)

    async def found(self, payouts: Sequence[Payout]) -> list[Payout]:
        """Return payouts as they stand now."""

        def read(tx: ReadTx) -> list[Payout]:
            found = (service.find(tx, payout.id, owner=self.merchant.owner) for payout in payouts)
            return [payout for payout in found if payout is not None]

        return await self.db.read(read)

    async def balance(self, pot: Pot) -> int:
        return await self.db.read(lambda tx: ledger.balance(tx, pot, "BRL", owner=self.merchant.owner).units)


async def opened(database: Database, number: int, seed: int) -> Desk:
    """Return a new merchant with a hundred reais, whose payouts may wait for a second person."""
    scene = Scene(seed)

    def build(tx: Tx) -> tuple[Merchant, int]:
        merchant = scene.merchant(tx, f"Loja {number}")
        owner, now = merchant.owner, scene.clock.now()
        account_id, _ = pix.attach_account(
            tx, owner=owner, merchant_uuid=merchant.uuid, profile="sandbox", bank_name="Banco", bank_ispb="99999001",
            credentials={}, keys=[Key(KeyType.EVP, scene.ids.uuid7())], ids=scene.ids, keyring=scene.keyring, now=now,
        )  # fmt: skip
        account = accounts.account(tx, account_id)
        assert account is not None
        rail_id = end_to_end_id(scene.ids, "99999002", now)
        arrived = ProviderReceipt(rail_id, None, 10 * TENTH, None, now, ReceiptPayer(), None)
        money.receive(tx, account, arrived, ids=scene.ids, keyring=scene.keyring, now=now)
        if number % 2:
            set_policy(tx, Policy(approve_from_units=1), owner=owner)
        return merchant, account_id

    merchant, account_id = await database.write(build)
    return Desk(database, scene, PayoutBank(scene), merchant, account_id)


@pytest.mark.bar("C6", gate=200, target=5_000, quick=4)
@pytest.mark.checklist("X34")
async def test_ten_of_a_hundred_tenths_are_accepted_and_each_is_sent_or_failed_never_both(
    database: Database, bar_size: int, bar_seed: int
) -> None:
    for schedule in range(bar_size):
        await race(await opened(database, schedule, bar_seed + schedule), Random(bar_seed + schedule))
        if schedule % AUDITED_EVERY == 0:
            await audited(database)
    await audited(database)


async def race(desk: Desk, chance: Random) -> None:
    asked = await asyncio.gather(*(desk.sends() for _ in range(ASKED)), watch(desk))
    accepted = [payout for payout in asked[:-1] if payout is not None]
    assert len(accepted) == 10
    assert await desk.balance(AVAILABLE) == 0

    desk.bank.next(*(chance.choice(("ok", "timeout_before", "timeout_after", NotSent("away"))) for _ in range(10)))
    acts = [desk.works() for _ in range(4)]
    acts += [desk.decides(payout, approve=chance.random() < 0.5) for payout in accepted for _ in range(3)]
    chance.shuffle(acts)
    await asyncio.gather(*acts, watch(desk))
    for _ in range(12):  # the rest of time: what is unknown is asked about, what waits is sent
        desk.scene.clock.advance(60 * SECOND)
        for ref in desk.bank.payouts:
            desk.bank.settles(ref)
        await asyncio.gather(desk.works(), desk.works())
    assert desk.refusals <= {"Insufficient balance", service.PROCESSED}
    await settled(desk, accepted)


async def settled(desk: Desk, accepted: list[Payout]) -> None:
    payouts = await desk.found(accepted)
    sent = {payout.id for payout in payouts if payout.state is State.COMPLETED}
    failed = {payout.id for payout in payouts if payout.state is State.FAILED}
    assert (len(sent) + len(failed), await desk.balance(HELD)) == (10, 0)
    assert desk.bank.executed == dict.fromkeys(sent, 1)
    assert await desk.balance(AVAILABLE) == len(failed) * TENTH * 100


async def audited(database: Database) -> None:
    assert await database.read(lambda tx: list(verification.find_faults(tx))) == []


async def watch(desk: Desk) -> None:
    """Look at the balance again and again while others take from it."""
    for _ in range(10):
        assert await desk.balance(AVAILABLE) >= 0
        await asyncio.sleep(0)
