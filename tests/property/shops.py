"""The shops of the market, what they pay for being paid, and the card terminal they share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import Tx
from opentill.gateways.port import GatewaySession, PaidVerdict, RefundAnswer, RefundOrder, RefundState, Verdict
from opentill.gateways.sandbox import REFUND_ANSWERS_LOST, Outcome, SandboxGateway
from opentill.kernel.clock import Instant
from opentill.kernel.secret import Secret
from opentill.merchants import gateways
from opentill.merchants import service as merchants
from opentill.merchants.model import Merchant
from opentill.pix import service as pix
from opentill.pix import store as pix_accounts
from opentill.pix.documents import cnpj_of
from opentill.pix.keys import detect
from opentill.sandbox_psp import SandboxBank
from opentill.web.dependencies import Dependencies
from tests.make import Scene

PUBLIC_URL: Final = "https://pay.example.com"

# Fee rules: shop (by number, None for all), gateway, currency, fixed units, basis points, least and most units.
FEE_RULES: Final = (
    (None, None, None, 0, 250, None, None),
    (None, "pix", None, 0, 99, None, None),
    (None, "sandbox", "USD", 3_000, 290, None, None),
    (0, "pix", "BRL", 37, 7, 11, 900),  # less than a centavo, never more than nine
    (0, None, "JPY", 2_500, 360, 5_000, None),
    (1, None, None, 0, 0, None, None),
    (1, "sandbox", "KWD", 0, 10_000, None, None),  # all of it
    (1, "sandbox", "CLF", 90_000, 333, None, 1_000_000),  # more than a small amount
)


class Terminal(SandboxGateway):
    """The sandbox gateway, which here loses answers without making anybody wait, and remembers what it was paid."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}  # units by its own reference
        self.returned: dict[str, int] = {}  # units by the refund's reference

    async def pay(self, session: GatewaySession, *, now: Any) -> Verdict:
        if json.loads(session.detail)["outcome"] in (Outcome.ANSWER_LOST, Outcome.CALL_LOST):
            raise TimeoutError("the answer was lost")
        return await self.fetch_status(session, now=now)

    async def fetch_status(self, session: GatewaySession, *, now: Any) -> Verdict:
        verdict = await super().fetch_status(session, now=now)
        if isinstance(verdict, PaidVerdict):
            self.paid[verdict.ref] = verdict.amount.units
        return verdict

    async def refund(self, order: RefundOrder, *, now: Any) -> RefundAnswer:
        answer = await self.fetch_refund(order, now=now)
        if order.received.minor % 100 == REFUND_ANSWERS_LOST:
            raise TimeoutError("the answer was lost")
        return answer

    async def fetch_refund(self, order: RefundOrder, *, now: Any) -> RefundAnswer:
        answer = await super().fetch_refund(order, now=now)
        if answer.state is RefundState.COMPLETED:
            self.returned[order.reference] = order.amount.units
        return answer


@dataclass(frozen=True)
class Shop:
    """A merchant with what it signs in with, and its account at the bank."""

    merchant: Merchant
    key: str
    client_id: str
    client_secret: str
    account_id: int
    bank_client_id: str
    pix_key: str
    stray_key: str  # the bank knows it as the shop's, we do not


async def open_shop(dependencies: Dependencies, bank: SandboxBank, scene: Scene, name: str, number: int) -> Shop:
    """Make a shop with an account at the bank, which tells us what arrives on it."""
    keys = [f"123e4567-e12b-12d1-a456-42665544{number}{kind:03}" for kind in range(2)]
    bank_client = {"client_id": f"shop-{number}", "client_secret": f"secret-{number}"}
    document = cnpj_of(f"11222333000{number}")
    bank.open_account(**bank_client, document=document, name=name, city="SAO PAULO", keys=keys)

    shop, token = await dependencies.db.write(lambda tx: _build(tx, scene, name, bank_client, keys))
    account = await dependencies.db.read(lambda tx: pix_accounts.account(tx, shop.account_id))
    assert account is not None
    hook = f"{PUBLIC_URL}/hooks/pix/{shop.account_id}/{token.reveal()}"
    await dependencies.receiver(account).ensure_webhook(shop.pix_key, hook)
    return shop


def set_fees(tx: Tx, shops: Sequence[Shop], *, now: Instant) -> None:
    for shop, gateway, code, fixed, share, least, most in FEE_RULES:
        tx.run(
            """
            insert into fee_rule (merchant_id, gateway, currency, fixed_units, basis_points, min_units, max_units,
                                  created_at)
            values (:merchant_id, :gateway, :currency, :fixed, :share, :least, :most, :now)
            """,
            merchant_id=None if shop is None else shops[shop].merchant.id,
            gateway=gateway,
            currency=code,
            fixed=fixed,
            share=share,
            least=least,
            most=most,
            now=now,
        )


def _build(tx: Tx, scene: Scene, name: str, bank_client: dict[str, str], keys: Sequence[str]) -> tuple[Shop, Secret]:
    merchant, now = scene.merchant(tx, name), scene.clock.now()
    owner = merchant.owner
    for position, slug in enumerate(("sandbox", "pix")):
        gateways.switch_on(tx, slug, name=slug, owner=owner, position=position, now=now)
    account_id, token = pix.attach_account(
        tx,
        owner=owner,
        merchant_uuid=merchant.uuid,
        profile="sandbox",
        bank_name="Banco Sandbox",
        bank_ispb="99999001",
        credentials=bank_client,
        keys=[detect(keys[0])],
        ids=scene.ids,
        keyring=scene.keyring,
        now=now,
    )
    key = merchants.create_api_key(tx, owner=owner, ids=scene.ids, now=now, rate_limit=1_000_000)
    client_id, secret = scene.credential(tx, merchant)
    made = Shop(merchant, key.reveal(), client_id, secret.reveal(), account_id, bank_client["client_id"], *keys)
    return made, token
