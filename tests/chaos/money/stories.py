"""What happens to money in a day, told so that it can be told again: everybody asks again until they know.

Shops repeat a request under its key, payers pay once, providers repeat what was not acknowledged, operators decide
what is still open. A story passes the places named beside it in `PASSES`; a process that died at one of them is
followed by another that tells the same story from its beginning.
"""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.callbacks.gateway import GatewayCallbacks
from opentill.db import Database, Tx
from opentill.kernel.clock import HOUR, MINUTE, SECOND
from opentill.kernel.money import currency, from_minor
from opentill.merchants import gateways
from opentill.merchants.model import Merchant
from opentill.payments import flow, queries
from opentill.payments.infractions import flow as infraction_flow
from opentill.payments.infractions import service as infractions
from opentill.payments.infractions.model import State as Contest
from opentill.payments.model import Payment, PaymentStatus
from opentill.payments.pix import flow as pix_flow
from opentill.payments.refunds import flow as refund_flow
from opentill.payments.review import decisions
from opentill.payments.review.decisions import Actor
from opentill.pix.payouts import flow as payouts
from tests.contract.api.client import Response, ask
from tests.contract.api.house import signature
from tests.usecases.pix.shop import KEY, STRAY_KEY, Died, Shop, die, open_shop

ASKS_MAX: Final = 12
NOT_YET: Final = frozenset({409, 429, 500, 502, 503, 504})
GOES_ON_AFTER: Final = 2 * MINUTE  # a key whose owner died is free then
ROUND: Final = 5 * HOUR  # less than one sweep looks back
SETTLES: Final = (SECOND, 5 * SECOND, 31 * SECOND, MINUTE, 4 * MINUTE, 4 * MINUTE, 11 * MINUTE, 11 * MINUTE)
OPERATOR: Final = Actor("ana@example.com", "203.0.113.7", may_override=True)


@dataclass(frozen=True)
class Known:
    """What a process that starts knows of the shop: who it is, and what it signs in with."""

    merchant: Merchant
    account_id: int
    api_key: str
    client_id: str
    client_secret: str


async def found(database: Database, folder: Path) -> Known:
    """Open a shop at the sandbox bank."""
    async with open_shop(database, folder) as shop:
        key = await database.write(lambda tx: shop.scene.api_key(tx, shop.merchant))
        client_id, secret = await database.write(lambda tx: shop.scene.credential(tx, shop.merchant))
        return Known(shop.merchant, shop.account_id, key.reveal(), client_id, secret.reveal())


class Teller:
    """One process: the shop with everybody around it."""

    def __init__(self, database: Database, folder: Path, known: Known, *, process: int, round_: int) -> None:
        self.shop = Shop(database, folder, seed=1_000 * (1 + process) + round_)
        self.shop.merchant, self.shop.account_id = known.merchant, known.account_id
        self.shop.at_sandbox = True
        self.shop.passes(ROUND * round_ + process * GOES_ON_AFTER)
        self.known, self.round = known, round_
        self._diary = folder / f"diary-{round_}"

    # Those who ask.

    async def pix(self, method: str, path: str, fields: Mapping[str, Any], key: str) -> Any:
        body, who = json.dumps(fields).encode(), self.known
        headers = {
            "authorization": f"ApiKey {who.client_id}:{who.client_secret}",
            "content-type": "application/json",
            "hmac": signature(who.client_secret, body),
            "idempotency-key": f"{key}-{self.round}",
        }

        async def once() -> Response:
            api = ExternalApi(self.shop.deps)
            try:
                return await ask(api, method, path, headers=headers, body=body)
            finally:
                await api.settled()

        return await self._insists(once)

    async def merchant(self, path: str, fields: Mapping[str, Any], key: str) -> Any:
        headers = {
            "authorization": f"Bearer {self.known.api_key}",
            "content-type": "application/json",
            "idempotency-key": f"{key}-{self.round}",
        }

        async def once() -> Response:
            api = MerchantApi(self.shop.deps)
            try:
                return await ask(api, "POST", path, headers=headers, body=json.dumps(fields).encode())
            finally:
                await api.settled()

        return (await self._insists(once))["data"]

    async def _insists(self, once: Callable[[], Awaitable[Response]]) -> Any:
        """Ask until there is an answer that settles it."""
        for _ in range(ASKS_MAX):
            answer = await once()
            if answer.status < 300:
                return answer.json()
            assert answer.status in NOT_YET, answer
            self.shop.passes(MINUTE)
        raise AssertionError(f"no answer after {ASKS_MAX} tries: {answer}")

    async def once(self, name: str, act: Callable[[], Awaitable[Any]]) -> None:
        """Have somebody outside do something they do not do again."""
        done = self._diary.read_text().split("\n") if self._diary.exists() else []
        if name not in done:
            await act()
            self._diary.write_text("\n".join([*done, name]))

    # What goes on by itself.

    async def goes_on(self, *waits: int) -> None:
        """Let time pass, and do what is due."""
        shop = self.shop
        for wait in waits:
            shop.passes(wait)
            await shop.rings()
            for job in (
                pix_flow.confirm_due_hints,
                pix_flow.look_at_due,
                payouts.work_due,
                refund_flow.check_due_refunds,
                flow.check_due_sessions,
                flow.expire_due,
                infraction_flow.list_due,
                infraction_flow.work_due,
                infraction_flow.top_up_due,
                pix_flow.sweep,
            ):
                await job(shop.tools)

    # What is read.

    async def charged(self, centavos: int, key: str = "in", **more: Any) -> str:
        made = await self.pix("POST", "/pix/cash-in", {"amount": centavos, "external_id": key, **more}, key)
        charge_id: str = made["transaction_id"]
        return charge_id

    async def payment(self, uuid: str) -> Payment:
        one = await self.shop.db.read(
            lambda tx: queries.find(tx, uuid, owner=self.known.merchant.owner, keyring=self.shop.scene.keyring)
        )
        assert one is not None
        return one


async def is_paid(teller: Teller) -> str:
    """A charge is made, paid, announced, read and booked."""
    shop, charge_id = teller.shop, await teller.charged(3_000)
    await teller.once("pays", lambda: _pays(teller, charge_id))
    shop.passes(SECOND)
    await shop.is_told()
    return charge_id


async def is_swept(teller: Teller) -> None:
    """Money of which nobody tells: for a charge, to the shop's key, and to a key that nobody here knows."""
    shop, charge_id = teller.shop, await teller.charged(3_000)
    await teller.once("pays", lambda: _pays(teller, charge_id, notify="never"))
    await teller.once("to the key", lambda: shop.pays_key(KEY, 500))
    await teller.once("to another", lambda: shop.pays_key(STRAY_KEY, 700))
    await shop.sweeps()


async def is_paid_by_card(teller: Teller) -> None:
    """A payment is paid through a gateway, and a part of it is given back."""
    made = await teller.merchant("/payments", {"amount": "50.00", "currency": "BRL"}, "card")
    await _submits(teller, await teller.payment(made["payment_id"]), "paid")
    for _ in range(ASKS_MAX):
        if (await teller.payment(made["payment_id"])).status is PaymentStatus.COMPLETED:
            break
        await teller.goes_on(MINUTE)
    await teller.merchant("/refunds", {"transaction_id": made["payment_id"], "amount": "20.00"}, "back")


async def is_told_of_a_card(teller: Teller) -> None:
    """A gateway tells by itself that a payment was paid."""
    made = await teller.merchant("/payments", {"amount": "60.00", "currency": "BRL"}, "told")
    payment = await teller.payment(made["payment_id"])
    if payment.open:
        await flow.choose_gateway(teller.shop.tools, payment.token, "sandbox")
    (session,) = await teller.shop.rows("select reference from gateway_session where payment_id = :id", id=payment.id)
    said = {"id": "pe_1", "session": session["reference"], "state": "paid", "ref": "8N7A6D5", "amount": "60.00"}
    body = json.dumps(said | {"currency": "BRL", "id": f"pe_{teller.round}", "ref": f"R{teller.round}"}).encode()
    secret = gateways.callback_secret("sandbox", owner=payment.owner, keyring=teller.shop.scene.keyring).reveal()
    headers = {"x-sandbox-signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    for _ in range(2):  # providers tell twice
        answer = await ask(GatewayCallbacks(teller.shop.deps), "POST", "/webhook/sandbox", headers=headers, body=body)
        assert answer.status == 200, answer


async def is_given_back(teller: Teller) -> None:
    """A paid charge goes back over the rail."""
    charge_id = await is_paid(teller)
    await teller.pix("POST", "/pix/refund", {"original_transaction_id": charge_id, "amount": 1_000}, "return")
    await teller.shop.asks_about_refunds(after_us=2 * SECOND)
    await teller.goes_on(5 * SECOND, 31 * SECOND)


async def is_paid_out(teller: Teller) -> None:
    """Payouts: one that goes well, one whose answer is lost, one that never arrives, two refused, one that returns."""
    shop = teller.shop
    await teller.once("funds", lambda: shop.pays_key(KEY, 9_000_000))
    await shop.sweeps()
    for centavos in (2_500, 910_001, 910_002, 900_001, 900_051, 910_005):
        fields = {"amount": centavos, "pix_key": "fulano@example.com", "pix_key_type": "email"}
        await teller.pix("POST", "/pix/cash-out", fields, f"out-{centavos}")
    await teller.goes_on(0, *[11 * SECOND] * 8)


async def is_over(teller: Teller) -> None:
    """A payment nobody pays, a charge nobody pays, and one that its shop removes."""
    shop = teller.shop
    made = await teller.merchant("/payments", {"amount": "10.00", "currency": "BRL"}, "unpaid")
    short = await teller.charged(3_000, "short", expires_in=60)
    removed = await teller.charged(4_000, "removed")
    if await shop.bank_state(await shop.found_id(removed)) == "ATIVA":
        await pix_flow.cancel_by_id(shop.tools, removed, owner=teller.known.merchant.owner)
    payment = await teller.payment(made["payment_id"])
    await teller.goes_on(2 * MINUTE)
    shop.passes(max(0, payment.expires_at - shop.clock.now()) + MINUTE)
    await teller.goes_on(0, MINUTE)
    assert short != removed


async def is_given_up(teller: Teller) -> None:
    """A charge whose maker died before the bank's answer was stored, and nobody came back for it."""

    async def is_lost() -> None:
        teller.shop.after["create_charge"] = die
        try:
            await teller.shop.charges("30.00")
        except Died:
            return

    await teller.once("lost", is_lost)
    teller.shop.after.clear()
    await teller.goes_on(11 * MINUTE, MINUTE)


async def is_contested(teller: Teller) -> None:
    """A payer contests what they paid; the shop defends itself, in vain."""
    shop, charge_id = teller.shop, await is_paid(teller)
    payment = await shop.payment_of(await shop.found_id(charge_id))
    (receipt,) = await shop.rows("select ref from receipt where payment_id = :id", id=payment.id)
    await teller.once("contests", lambda: shop.sim("infractions", {"e2e_id": receipt["ref"]}))
    for _ in range(ASKS_MAX):
        await teller.goes_on(10 * MINUTE + 1)
        if heard := [one for one in await _contests(teller) if one.receipt.end_to_end_id == receipt["ref"]]:
            break
    (contest,) = heard
    if contest.state is Contest.OPEN:
        await shop.db.write(
            lambda tx: infractions.defend(
                tx, contest.id, "It was delivered.", [], owner=contest.owner, ids=shop.scene.ids,
                now=shop.clock.now(),
            )
        )  # fmt: skip
    await teller.goes_on(0, MINUTE, MINUTE)
    await teller.once("agrees", lambda: shop.sim(f"infractions/{contest.ref}/resolve", {"result": "AGREED"}))
    await teller.goes_on(10 * MINUTE + 1, 4 * MINUTE)


async def is_short(teller: Teller) -> None:
    """One centavo too few arrives; a person takes it all the same."""
    shop, charge_id = teller.shop, await teller.charged(10_002)
    await teller.goes_on(SECOND, SECOND, 4 * MINUTE)
    payment = await shop.payment_of(await shop.found_id(charge_id))
    items = await shop.rows("select id from review_item where resolved_at is null and payment_id = :id", id=payment.id)
    for item in items:

        def decide(tx: Tx, item_id: int = item["id"]) -> None:
            means: dict[str, Any] = {"owner": payment.owner, "by": OPERATOR, "keyring": shop.scene.keyring}
            now, seen = shop.clock.now(), from_minor(10_001, currency("BRL"))
            decisions.claim(tx, item_id, now=now, **means)
            decisions.approve(tx, item_id, seen=seen, reason="a centavo", ids=shop.scene.ids, now=now, **means)

        await shop.db.write(decide)


STORIES: Final[Mapping[Callable[[Teller], Awaitable[Any]], Sequence[str]]] = {
    is_paid: ("key.claimed", "key.answered", "charge.written", "charge.intended", "charge.made", "charge.announced",
              "charge.confirmed", "notification.written", "notification.stored", "hint.read", "hint.ending",
              "hint.ended", "receipt.counted", "receipt.booked", "journal.posted"),
    is_swept: ("sweep.listed", "sweep.booked", "sweep.closed", "receipt.credited", "receipt.suspended"),
    is_paid_by_card: ("key.kept", "payment.created", "session.opened", "submission.written", "submission.noted",
                      "gateway.answered", "session.concluding", "session.concluded", "refund.written",
                      "refund.intended", "refund.answered", "refund.concluding", "refund.concluded"),
    is_told_of_a_card: ("callback.kept", "callback.applied", "callback.taken"),
    is_given_back: ("refund.taken",),
    is_paid_out: ("payout.accepted", "payout.taken", "payout.submitted", "payout.hearing", "payout.heard",
                  "payout.asked", "payout.taken_again", "payout.doubted", "payout.refused", "payout.failing",
                  "payout.confirming", "payout.returning"),
    is_over: ("charge.read", "charge.looked_at", "charge.expiring", "charge.removed", "charge.cancelling",
              "payment.ending", "payment.expired"),
    is_given_up: ("charge.abandoned", "charge.given_up"),
    is_contested: ("contest.heard", "defence.taken", "defence.sent"),
    is_short: ("receipt.held", "receipt.accepted", "review.approved"),
}  # fmt: skip


async def effects(teller: Teller) -> dict[str, Any]:
    """Return everything that happened, without names and instants. The auditors must have nothing to say."""
    shop = teller.shop
    bank = await shop.bank_books()
    found = {
        "balances": await shop.books(),
        "made at the bank": Counter(charge["executions"] for charge in bank["charges"]),
        "charges at the bank": Counter((charge["status"], charge["valor"]) for charge in bank["charges"]),
        "receipts at the bank": Counter(receipt["valor"] for receipt in bank["receipts"]),
        "payouts at the bank": Counter((payout["status"], payout["valor"]) for payout in bank["payouts"]),
        "returns at the bank": Counter((back["status"], back["valor"]) for back in bank["returns"]),
    }
    for name, sql in WRITTEN.items():
        found[name] = Counter(tuple(row.values()) for row in map(dict, await shop.rows(sql)))
    return found


WRITTEN: Final = {
    "payments": "select status, units, refunded_units from payment",
    "charges": "select state, units from pix_charge",
    "receipts": "select origin, state, units from receipt",
    "refunds": "select status, units from refund",
    "payouts": "select state, units, returned_units from pix_payout",
    "journals": "select kind from journal",
    # Of a payout that went straight to its end it is told that it is under way where that was in doubt for a while.
    "events": "select type, pix_type from event where type <> 'payout.processing'",
    "keys": "select state from idempotency",
    "reviews": "select reason, resolved_at is null as waits from review_item",
    "hints": "select kind from pix_hint where due_at is not null",
    "callbacks": "select state from gateway_callback",
}


async def _pays(teller: Teller, charge_id: str, **how: Any) -> None:
    await teller.shop.payer_pays(await teller.shop.found_id(charge_id), **how)


async def _submits(teller: Teller, payment: Payment, outcome: str) -> None:
    """Have the payer choose the gateway and press its button, unless that was done."""
    if not payment.open:
        return
    if await teller.shop.db.read(lambda tx: queries.open_session(tx, payment)) is None:
        await flow.choose_gateway(teller.shop.tools, payment.token, "sandbox")
    await flow.submit(teller.shop.tools, payment.token, {"outcome": outcome})


async def _contests(teller: Teller) -> Sequence[Any]:
    return await teller.shop.db.read(lambda tx: infractions.listed(tx, owner=teller.known.merchant.owner))
