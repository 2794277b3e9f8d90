"""A shop whose PIX account is at the sandbox bank, reached through the real adapter, with a line that can go dead.

shop = await open_shop(database, tmp_path)
charge = await shop.charges("30.00")
await shop.payer_pays(charge)
await shop.is_told()
assert await shop.state(charge) is State.COMPLETED
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from opentill.callbacks.pix import PixCallbacks
from opentill.db import Database, ReadTx, Row, Tx
from opentill.events import document_of
from opentill.gateways.port import Verdict
from opentill.kernel.clock import MINUTE
from opentill.kernel.ids import SeededIds
from opentill.kernel.money import currency, parse
from opentill.kernel.secret import Secret
from opentill.ledger import AVAILABLE, FEES, HELD, SUSPENSE, clearing
from opentill.ledger import queries as ledger
from opentill.ledger import verification as books
from opentill.merchants import gateways
from opentill.merchants.model import Merchant
from opentill.outbound import Outbound
from opentill.payments import flow, queries, service, verification
from opentill.payments.infractions import verification as infraction_books
from opentill.payments.model import Order, Payment, Refund
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix import refunds as pix_refunds
from opentill.payments.pix import service as money
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.store import sessions
from opentill.payments.tools import Tools
from opentill.pix import service as pix
from opentill.pix import store as rows
from opentill.pix.banks import Banks
from opentill.pix.documents import cnpj_of
from opentill.pix.identifiers import end_to_end_id, provider_txid
from opentill.pix.keys import detect
from opentill.pix.model import Account, Charge, State
from opentill.pix.payouts import flow as payout_flow
from opentill.pix.payouts import service as payouts
from opentill.pix.payouts import verification as payout_books
from opentill.pix.payouts.model import Order as PayoutOrder
from opentill.pix.payouts.model import Payout
from opentill.pix.policy import Policy, set_policy
from opentill.pix.port import (
    ChargeRequest,
    Hint,
    Page,
    PixReceiver,
    ProviderCharge,
    ProviderReceipt,
    ProviderReturn,
    RawRequest,
    ReceiptPayer,
    ReceiverCapabilities,
    ToKey,
)
from opentill.pix.providers.bacen import Profiles
from opentill.pix.providers.in_process import InProcess
from opentill.sandbox_psp import SandboxBank
from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from tests.contract.api.client import ask
from tests.fakes.payout_bank import PayoutBank
from tests.fakes.terminal import Terminal
from tests.make import Scene

PUBLIC_URL: Final = "https://pay.example.com"
BANK_URL: Final = "https://pix.sandbox.opentill.test"
SIM_TOKEN: Final = Secret("sim-token")
KEY: Final = "123e4567-e12b-12d1-a456-426655440000"
STRAY_KEY: Final = "123e4567-e12b-12d1-a456-426655440001"  # the bank knows it as the shop's, we do not

Interruption = Callable[[], Awaitable[None]]


class Died(BaseException):
    """The process was killed. Nothing may catch it."""


async def die() -> None:
    raise Died


async def at_once() -> None:
    """Let nothing else happen meanwhile."""


class Line:
    """The real adapter, on a line where a test can make something happen just before or after a call."""

    def __init__(self, bank: PixReceiver, shop: "Shop") -> None:
        self._bank, self._before, self._after, self._changed = bank, shop.before, shop.after, shop.changed
        self._knows, self._pause = shop.knows, shop.pause

    @property
    def capabilities(self) -> ReceiverCapabilities:
        return self._bank.capabilities

    async def create_charge(self, request: ChargeRequest) -> ProviderCharge:
        return await self._call("create_charge", self._bank.create_charge(request))

    async def get_charge(self, txid: str) -> ProviderCharge | None:
        return await self._call("get_charge", self._bank.get_charge(txid))

    async def cancel_charge(self, txid: str) -> ProviderCharge:
        return await self._call("cancel_charge", self._bank.cancel_charge(txid))

    async def get_receipt(self, e2e_id: str) -> ProviderReceipt | None:
        if e2e_id in self._knows:
            return self._knows[e2e_id]
        return await self._call("get_receipt", self._bank.get_receipt(e2e_id))

    async def list_receipts(
        self, start: Any, end: Any, cursor: str | None = None, txid_present: bool | None = None
    ) -> Page[ProviderReceipt]:
        return await self._call("list_receipts", self._bank.list_receipts(start, end, cursor, txid_present))

    async def request_return(self, e2e_id: str, ref: str, amount_centavos: int, text: str) -> ProviderReturn:
        asked = self._bank.request_return(e2e_id, ref, amount_centavos, text)
        return await self._call("request_return", asked)

    async def get_return(self, e2e_id: str, ref: str) -> ProviderReturn | None:
        return await self._call("get_return", self._bank.get_return(e2e_id, ref))

    async def ensure_webhook(self, key: str, url: str) -> None:
        await self._bank.ensure_webhook(key, url)

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        return self._bank.parse_notification(request)

    async def _call(self, name: str, calling: Awaitable[Any]) -> Any:
        before, after = self._before.pop(name, None), self._after.pop(name, None)
        try:
            await self._pause()
            if before is not None:
                await before()
        except BaseException:
            calling.close()  # type: ignore[attr-defined]
            raise
        result = self._changed.pop(name, lambda answer: answer)(await calling)
        await self._pause()
        if after is not None:
            await after()
        return result


class Shop:
    """One merchant, the bank, and sentences a test can say."""

    def __init__(self, database: Database, folder: Path, *, seed: int = 7) -> None:
        self.db, self.scene = database, Scene(seed)
        self.clock, self.folder = self.scene.clock, folder
        self.bank = SandboxBank(
            folder / "bank.db",
            clock=self.clock,
            ids=SeededIds(seed + 1, self.clock),
            sim_token=SIM_TOKEN,
            break_after_s=0.0,
        )
        self._to_bank = InProcess(self.bank)
        self.before: dict[str, Interruption] = {}
        self.after: dict[str, Interruption] = {}
        self.pause: Interruption = at_once  # on the way to the bank and back
        self.changed: dict[str, Callable[[Any], Any]] = {}  # what becomes of an answer on its way
        self.knows: dict[str, ProviderReceipt] = {}  # receipts the bank has beside its own books
        self.told: list[tuple[str, bytes]] = []
        self.terminal = Terminal()
        self.payout_bank = PayoutBank(self.scene)
        self.at_sandbox = False  # pay out through the real driver instead
        self.settings: dict[str, Any] = {}  # of the next process
        self.deps = self._process()
        self.merchant: Merchant
        self.account_id: int

    @property
    def tools(self) -> Tools:
        return self.deps.tools

    # The shop.

    async def charges(self, amount: str = "30.00", **more: Any) -> Charge:
        """Make a charge as POST /pix/cash-in does."""
        order = Order(parse(amount, currency("BRL")), order_id="order-9876", gateway="pix", gateway_fixed=True)
        wanted: dict[str, Any] = {"description": "Pedido", "expires_in_s": 3_600} | more
        return await pix_flow.cash_in(self.tools, order, merchant=self.merchant, **wanted)

    async def orders(self, amount: str = "30.00") -> Payment:
        """Create a payment for the checkout."""
        order = Order(parse(amount, currency("BRL")))
        made = await self.db.write(
            lambda tx: service.create(
                tx,
                order,
                merchant=self.merchant,
                ids=self.scene.ids,
                keyring=self.scene.keyring,
                now=self.clock.now(),
            )
        )
        return await self.reads(made)

    async def chooses_pix(self, payment: Payment) -> Charge:
        _, _, charge = await flow.choose_gateway(self.tools, payment.token, "pix")
        assert charge is not None
        return charge

    async def pays_by_card(self, payment: Payment, outcome: str = "paid") -> Payment:
        await flow.choose_gateway(self.tools, payment.token, "sandbox")
        return await flow.submit(self.tools, payment.token, {"outcome": outcome})

    async def funds(self, reais: str = "100.00") -> None:
        """Have money arrive that no charge asked for."""
        amount = parse(reais, currency("BRL"))
        ids, now = self.scene.ids, self.clock.now()
        arrived = ProviderReceipt(
            e2e_id=end_to_end_id(ids, "99999002", now),
            txid=None,
            amount_centavos=amount.minor,
            key=KEY,
            settled_at=now,
            payer=ReceiptPayer(name="João Teste"),
            message=None,
        )

        self.last_receipt = arrived

        def book(tx: Tx) -> None:
            account = rows.account(tx, self.account_id)
            assert account is not None
            money.receive(tx, account, arrived, ids=ids, keyring=self.scene.keyring, now=now)

        await self.db.write(book)

    async def sends(self, reais: str = "30.00", *, by: str = "cli_000000000001", **order: Any) -> Payout:
        """Ask for a payout as POST /pix/cash-out does."""
        amount, key = parse(reais, currency("BRL")), detect("fulano@example.com")
        wanted = PayoutOrder(amount=amount, target=ToKey(key.value, key.type), recipient_key=key.value)
        return await self.db.write(
            lambda tx: payouts.accept(
                tx,
                replace(wanted, **order),
                owner=self.merchant.owner,
                by=by,
                own_e2e=True,
                ids=self.scene.ids,
                now=self.clock.now(),
            )
        )

    async def pays_out(self, *, after_us: int = 0) -> None:
        """Let time pass, and do what payouts wait for."""
        self.passes(after_us)
        await payout_flow.work_due(self.tools)

    async def payout(self, sent: Payout) -> Payout:
        found = await self.db.read(lambda tx: payouts.find(tx, sent.id, owner=sent.owner))
        assert found is not None
        return found

    async def gives_back(self, ref: str, reais: str | None = None, **more: Any) -> Refund:
        """Ask for a refund as POST /pix/refund does, by any name of what was received."""
        units = parse(reais, currency("BRL")).units if reais else None
        wanted: dict[str, Any] = {"reason": "MD06", "text": "Devolução PIX", "owner": self.merchant.owner} | more
        refund, _ = await self.db.write(
            lambda tx: pix_refunds.request(
                tx,
                ref,
                units,
                ids=self.scene.ids,
                keyring=self.scene.keyring,
                now=self.clock.now(),
                **wanted,
            )
        )
        return refund

    async def asks_about_refunds(self, *, after_us: int = 0) -> None:
        """Let time pass, and ask the bank about what goes back."""
        self.passes(after_us)
        await self.rings()
        await refund_flow.check_due_refunds(self.tools)

    async def allows(self, **limits: Any) -> None:
        """Have the operator set the merchant's limits."""
        await self.db.write(lambda tx: set_policy(tx, Policy(**limits), owner=self.merchant.owner))

    # The world.

    async def payer_pays(self, charge: Charge, **order: Any) -> list[str]:
        """Pay a charge at the bank, which will tell us unless told not to."""
        return await self.sim("pay", {"txid": provider_txid(charge.id)} | order)

    async def pays_key(self, key: str, centavos: int, **order: Any) -> list[str]:
        """Pay to a key without a charge. Banks tell of such money only where it carries a label."""
        return await self.sim("pay", {"key": key, "amount": centavos} | order)

    async def fault(self, operation: str, kind: str, **more: Any) -> None:
        """Have the bank do something wrong, once."""
        await self.sim("faults", {"operation": operation, "fault": kind} | more)

    async def sim(self, hook: str, document: dict[str, Any]) -> Any:
        answer = await self._to_bank.request(
            "POST", f"{BANK_URL}/_sim/{hook}", {"X-Sim-Token": SIM_TOKEN.reveal()}, json.dumps(document).encode(), 5
        )
        assert answer.status < 300, answer
        found = json.loads(answer.body) if answer.body else {}
        return found.get("e2e_ids", found)

    async def sim_delete(self, hook: str) -> None:
        headers = {"X-Sim-Token": SIM_TOKEN.reveal()}
        answer = await self._to_bank.request("DELETE", f"{BANK_URL}/_sim/{hook}", headers, b"", 5)
        assert answer.status < 300, answer

    async def bank_call(self, method: str, path: str, document: object = None) -> Any:
        """Make a call to the bank as the shop's own people might; return the answer's document, None for none."""
        form = b"grant_type=client_credentials&client_id=shop&client_secret=shop-secret"
        token = await self._to_bank.request("POST", f"{BANK_URL}/oauth/token", {}, form, 5)
        headers = {"Authorization": f"Bearer {json.loads(token.body)['access_token']}"}
        body = b"" if document is None else json.dumps(document).encode()
        answer = await self._to_bank.request(method, BANK_URL + path, headers, body, 5)
        return json.loads(answer.body) if answer.status < 300 and answer.body else None

    async def bank_state(self, charge: Charge) -> str | None:
        """Return the bank's word for a charge, None if it has none."""
        known = {found["txid"]: found["status"] for found in (await self.bank_books())["charges"]}
        return known.get(provider_txid(charge.id))

    async def bank_books(self) -> dict[str, list[dict[str, Any]]]:
        """Return the charges, receipts, payouts and returns the bank holds."""
        headers = {"X-Sim-Token": SIM_TOKEN.reveal()}
        answer = await self._to_bank.request("GET", f"{BANK_URL}/_sim/state", headers, b"", 5)
        found: dict[str, list[dict[str, Any]]] = json.loads(answer.body)
        return found

    async def hears_of_card(self, session_id: int, verdict: Verdict) -> None:
        """Have the card's provider say by itself what became of a try."""

        def conclude(tx: Tx) -> None:
            session = sessions.as_session(tx.all(f"{sessions.SESSION} where id = :id", id=session_id)[0])
            tools, now = self.tools, self.clock.now()
            service.conclude(tx, session, verdict, ids=tools.ids, keyring=tools.keyring, now=now)

        await self.db.write(conclude)

    def passes(self, microseconds: int) -> None:
        self.clock.advance(microseconds)

    # What goes on by itself.

    async def rings(self) -> int:
        """Have the bank do what is due and tell us."""
        return await self.bank.tick(self.tell)

    async def is_told(self) -> None:
        """Take the bank's notifications and confirm them."""
        await self.rings()
        await pix_flow.confirm_due_hints(self.tools)

    async def hears_again(self) -> None:
        """Get every notification of the past once more."""
        for url, body in list(self.told):
            await self.tell(url, body)

    async def hears(self, *items: dict[str, Any], body: bytes | None = None) -> int:
        """Get a notification that somebody who knows the address made up; return the answer's status."""
        url, _ = await self.hook()
        return await self.tell(url, json.dumps({"pix": items}).encode() if body is None else body)

    async def looks(self) -> None:
        await pix_flow.look_at_due(self.tools)

    async def sweeps(self) -> None:
        """Let three minutes pass and sweep."""
        self.passes(4 * MINUTE)
        await pix_flow.sweep(self.tools)

    async def expires(self) -> None:
        await flow.expire_due(self.tools)

    def another_worker(self) -> Tools:
        """Return the tools of a process beside this one, with a token of its own."""
        return self._process().tools

    async def starts_again(self) -> None:
        """Go on in a new process: nothing is left but the database."""
        self.before.clear()
        self.after.clear()
        self.deps = self._process()

    # Looking.

    async def state(self, charge: Charge) -> State:
        return (await self.found(charge)).state

    async def found(self, charge: Charge) -> Charge:
        return await self.found_id(charge.id)

    async def found_id(self, charge_id: str) -> Charge:
        found = await self.db.read(lambda tx: rows.charge(tx, charge_id, owner=self.merchant.owner))
        assert found is not None
        return found

    async def payment_of(self, charge: Charge) -> Payment:
        found = await self.db.read(
            lambda tx: queries.find(tx, str(charge.payment_id), owner=self.merchant.owner, keyring=self.scene.keyring)
        )
        assert found is not None
        return found

    async def tries(self, payment: Payment) -> list[tuple[str, str]]:
        """Return gateway and state of a payment's sessions."""
        found = await self.rows(
            "select gateway, state from gateway_session where payment_id = :id order by id", id=payment.id
        )
        return [(row["gateway"], row["state"]) for row in found]

    async def reads(self, payment: Payment) -> Payment:
        found = await self.db.read(
            lambda tx: queries.find(tx, payment.uuid, owner=payment.owner, keyring=self.scene.keyring)
        )
        assert found is not None
        return found

    async def events(self) -> list[str]:
        """Return the events so far; the name in the PIX dialect follows the type."""
        found = await self.rows("select type, pix_type from event order by seq")
        return [" ".join(filter(None, (row["type"], row["pix_type"]))) for row in found]

    async def documents(self) -> list[dict[str, Any]]:
        return [document_of(row["doc"]) for row in await self.rows("select doc from event order by seq")]

    async def receipts(self) -> list[tuple[str, str, int]]:
        """Return origin, state and centavos of what is booked."""
        found = await self.rows("select origin, state, units from receipt order by id")
        return [(row["origin"], row["state"], row["units"] // 100) for row in found]

    async def reviews(self) -> list[str]:
        return [row["reason"] for row in await self.rows("select reason from review_item order by id")]

    async def run(self, sql: str, **params: Any) -> None:
        await self.db.write(lambda tx: tx.run(sql, **params))

    async def rows(self, sql: str, **params: Any) -> list[Row]:
        return list(await self.db.read(lambda tx: tx.all(sql, **params)))

    async def books(self) -> dict[str, int]:
        """Return the balances, about which the auditor must have nothing to say."""
        auditors = (books, verification, payout_books, infraction_books)
        faults = await self.db.read(lambda tx: [fault for auditor in auditors for fault in auditor.find_faults(tx)])
        assert faults == []
        return await self.balances()

    async def balances(self) -> dict[str, int]:
        """Return the balances in centavos that are not zero."""
        names = {
            "bank": clearing(f"pix:{self.account_id}"),
            "card": clearing("sandbox"),
            "available": AVAILABLE,
            "held": HELD,
            "fees": FEES,
            "suspense": SUSPENSE,
        }

        def look(tx: ReadTx) -> dict[str, int]:
            owner = self.merchant.owner
            return {name: ledger.balance(tx, pot, "BRL", owner=owner).units for name, pot in names.items()}

        found = await self.db.read(look)
        return {name: units // 100 for name, units in found.items() if units}

    # Putting it together.

    def _process(self) -> Dependencies:
        settings = Settings(data=self.folder, public_url=PUBLIC_URL, **self.settings).completed()
        banks = self.banks = Banks(
            self.bank,
            keyring=self.scene.keyring,
            clock=self.clock,
            ids=self.scene.ids,
            profiles=Profiles(settings.bank_profiles),
        )
        return Dependencies(
            settings=settings,
            db=self.db,
            clock=self.clock,
            ids=self.scene.ids,
            keyring=self.scene.keyring,
            outbound=Outbound(),
            gateways={"sandbox": self.terminal},
            receiver=lambda account: Line(banks.receiver(account), self),
            payer=lambda account: banks.payer(account) if self.at_sandbox else self.payout_bank,
            sandbox_bank=self.bank,
        )

    def _attach(self, tx: Tx, merchant: Merchant, client: dict[str, str], key: str) -> int:
        account_id, _ = pix.attach_account(
            tx,
            owner=merchant.owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name="Banco Sandbox",
            bank_ispb="99999001",
            credentials=client,
            keys=[detect(key)],
            ids=self.scene.ids,
            keyring=self.scene.keyring,
            now=self.clock.now(),
        )
        return account_id

    async def tell(self, url: str, body: bytes, **request: Any) -> int:
        if (url, body) not in self.told:
            self.told.append((url, body))
        answer = await ask(PixCallbacks(self.deps), "POST", url.removeprefix(PUBLIC_URL), body=body, **request)
        return answer.status

    async def hook(self) -> tuple[str, Account]:
        def load(tx: Any) -> tuple[Account, str]:
            account = rows.account(tx, self.account_id)
            assert account is not None
            sealed = tx.one_or_none("select sealed_hook_token from pix_account where id = :id", id=account.id)
            return account, sealed["sealed_hook_token"]

        account, sealed = await self.db.read(load)
        token = self.scene.keyring.open(sealed, f"pix_account.sealed_hook_token/{account.merchant_uuid}").decode()
        return f"{PUBLIC_URL}/hooks/pix/{account.id}/{token}", account

    async def open(self) -> None:
        """Make the merchant, its account at the bank, and have the bank's notifications sent here."""
        bank_client = {"client_id": "shop", "client_secret": "shop-secret"}
        self.bank.open_account(
            **bank_client, document=cnpj_of("112223330001"), name="Loja Azul", city="SAO PAULO", keys=[KEY, STRAY_KEY]
        )

        def build(tx: Tx) -> tuple[Merchant, int]:
            scene, now = self.scene, self.clock.now()
            merchant = scene.merchant(tx)
            for position, slug in enumerate(("pix", "sandbox")):
                gateways.switch_on(tx, slug, name=slug, owner=merchant.owner, position=position, now=now)
            return merchant, self._attach(tx, merchant, bank_client, KEY)

        self.merchant, self.account_id = await self.db.write(build)
        url, account = await self.hook()
        for key in (KEY, STRAY_KEY):
            await self.tools.receiver(account).ensure_webhook(key, url)

    async def opens_accounts(self, count: int) -> list[str]:
        """Attach as many more accounts at the same bank, of merchants nobody pays; return their client ids there."""

        clients = [{"client_id": f"shop-{number}", "client_secret": "secret"} for number in range(count)]
        keys = [f"123e4567-e12b-12d1-a456-42665545{number:04}" for number in range(count)]
        for number, (client, key) in enumerate(zip(clients, keys, strict=True)):
            document = cnpj_of(f"22333444{number:04}")
            self.bank.open_account(**client, document=document, name="Loja", city="NATAL", keys=[key])

        def attach(tx: Tx) -> None:
            for client, key in zip(clients, keys, strict=True):
                merchant = self.scene.merchant(tx, client["client_id"])
                self._attach(tx, merchant, client, key)

        await self.db.write(attach)
        return [client["client_id"] for client in clients]

    async def close(self) -> None:
        await self.deps.outbound.close()
        self.bank.close()


@asynccontextmanager
async def open_shop(database: Database, folder: Path, *, seed: int = 7) -> AsyncIterator[Shop]:
    shop = Shop(database, folder, seed=seed)
    await shop.open()
    yield shop
    await shop.close()
