"""Write the examples of the merchant API's document: `python -m tests.contract.api.write_examples`.

They are answers it gave: a shop's day is played on a fresh database, with ids from a seed and a clock that stands
still, so that whoever plays it again gets the same.
"""

import asyncio
import json
import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from opentill.api.merchant.operations import DOCUMENT
from opentill.db import open_database
from opentill.db.migrations import migrate
from opentill.kernel.clock import DAY, Instant
from opentill.payments import flow
from opentill.payments.disputes import service as disputes
from opentill.webhooks import planning
from tests.contract.api.client import Response
from tests.contract.api.house import House, open_house
from tests.contract.api.test_openapi import described
from tests.fakes.receiver import Receiver

TARGET = Path(str(files("opentill.api.merchant") / "examples.json"))
ADMIN = ("read", "write", "refund", "admin")
MADE_UP_HOST = "https://shop.example"
NO_UUID = "00000000-0000-7000-8000-000000000000"
NO_TXN = "txn_0000000000000000"
ORDER = {
    "amount": "99.90",
    "currency": "BRL",
    "reference": "ORD-1001",
    "customer_name": "Jane Smith",
    "customer_email": "jane@example.com",
    "redirect_url": f"{MADE_UP_HOST}/return",
}
INTENT = {
    "gateway": "sandbox",
    "amount": 99.9,
    "currency": "BRL",
    "order_id": "ORD-1002",
    "customer_name": "Jane Smith",
    "customer_email": "jane@example.com",
    "return_url": f"{MADE_UP_HOST}/return",
}
LINK = {"title": "Tea", "amount": 5, "currency": "BRL", "slug": "tea"}
INVOICE = {
    "customer": {"name": "Jane Smith", "email": "jane@example.com"},
    "currency": "BRL",
    "items": [{"description": "Tea", "quantity": "1.5", "unit_price": "5.00"}],
    "due_date": "2026-03-31",
}
HOOK = {"url": f"{MADE_UP_HOST}/webhooks", "events": ["payment.*"]}

Examples = dict[str, dict[str, Any]]


class Day:
    """A shop's calls, and of each operation the first answer with each status."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.answers: Examples = {}

    async def call(self, method: str, target: str, fields: object = None, **more: Any) -> Any:
        """Call the API; return the answer's body."""
        answer: Response = await self.house.merchant(method, target, fields, **more)
        name = described(DOCUMENT, method, target)["operationId"]
        self.answers.setdefault(name, {}).setdefault(str(answer.status), answer.json())
        return answer.json()

    async def pays(self, fields: dict[str, Any], outcome: str = "pay") -> dict[str, Any]:
        """Make a payment, and play its payer."""
        tools = self.house.dependencies.tools
        made: dict[str, Any] = (await self.call("POST", "/payments", fields))["data"]
        await flow.choose_gateway(tools, made["token"], "sandbox")
        await flow.submit(tools, made["token"], {"outcome": outcome})
        return made


async def play(house: House) -> Examples:
    """Call every operation, so that each answers with every status of its own."""
    day = Day(house)
    key = await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=ADMIN))
    house.shop.key = key.reveal()
    await house.run("update api_key set rate_limit = 1000")  # the clock stands still: all calls are in one minute
    async with Receiver() as receiver:
        await house.keeps_attempts()
        await house.run("""update merchant set outbound_allow = '["127.0.0.1"]'""")
        await _webhooks(day, receiver)
    await _payments(day)
    await _refunds_and_disputes(day)
    await _links_and_invoices(day)
    await _customers_and_keys(day)
    await _events_and_feeds(day)
    await _what_any_call_is_told(day)
    return day.answers


async def _payments(day: Day) -> None:
    made = await day.pays(ORDER)
    intent = (await day.call("POST", "/payment-intents", INTENT))["data"]
    spare = (await day.call("POST", "/payments", {"amount": 5, "currency": "BRL"}))["data"]
    for family, one in (("payment-intents", intent), ("payments", spare)):
        await day.call("POST", f"/{family}", {})
        await day.call("GET", f"/{family}?per_page=1")
        await day.call("GET", f"/{family}?from=yesterday")
        await day.call("GET", f"/{family}/{made['payment_id']}")
        await day.call("GET", f"/{family}/{NO_TXN}")
        await day.call("GET", f"/{family}/x")
        await day.call("PATCH", f"/{family}/{one['payment_id']}", {"description": "Two teas"})
        await day.call("PATCH", f"/{family}/{one['payment_id']}", {"redirect_url": "nowhere"})
        await day.call("PATCH", f"/{family}/{NO_TXN}", {})
        await day.call("POST", f"/{family}/{one['payment_id']}/cancel")
        await day.call("POST", f"/{family}/{one['payment_id']}/cancel")
        await day.call("POST", f"/{family}/{NO_TXN}/cancel")
        await day.call("POST", f"/{family}/x/cancel")
        await day.call("PATCH", f"/{family}/{one['payment_id']}", {"description": "late"})
    await day.call("POST", "/payment-intents", {**INTENT, "gateway": "none"})
    await day.call("GET", "/transactions?per_page=1&status=completed")
    await day.call("GET", "/transactions?from=yesterday")
    await day.call("GET", f"/transactions/{made['trx_id']}")
    await day.call("GET", f"/transactions/{NO_TXN}")
    await day.call("GET", "/transactions/ ")
    await day.call("GET", "/gateways")
    await day.call("GET", "/health")


async def _refunds_and_disputes(day: Day) -> None:
    house = day.house
    made = await day.pays({**ORDER, "reference": "ORD-1003"})
    await day.call("POST", "/refunds", {"transaction_id": made["trx_id"], "amount": "50.00", "reason": "Returned"})
    await day.call("POST", "/refunds", {"transaction_id": made["trx_id"], "amount": "50.00"})
    await day.call("POST", "/refunds", {"transaction_id": NO_TXN})
    await day.call("POST", "/refunds", {})
    await day.call("GET", "/refunds?per_page=1")
    await day.call("GET", "/refunds?from=yesterday")
    await day.call("GET", f"/refunds/{made['trx_id']}")
    await day.call("GET", f"/refunds/{NO_TXN}")
    await day.call("GET", "/refunds/ ")
    contested = (await day.call("GET", f"/transactions/{made['trx_id']}"))["data"]
    opened = await house.db.write(
        lambda tx: disputes.open_dispute(
            tx,
            contested["id"],
            owner=house.shop.merchant.owner,
            reason="Not received",
            evidence_due_at=Instant(house.clock.now() + 7 * DAY),
            ids=house.scene.ids,
            keyring=house.scene.keyring,
            now=house.clock.now(),
        )
    )
    await day.call("GET", "/disputes")
    await day.call("GET", "/disputes?from=yesterday")
    await day.call("GET", f"/disputes/{opened.uuid}")
    await day.call("GET", f"/disputes/{NO_UUID}")


async def _links_and_invoices(day: Day) -> None:
    await day.call("POST", "/payment-links", LINK)
    await day.call("POST", "/payment-links", LINK)
    await day.call("POST", "/payment-links", {})
    await day.call("POST", "/payment-links", {**LINK, "slug": "other", "gateway": "none"})
    await day.call("GET", "/payment-links")
    await day.call("GET", "/payment-links?from=yesterday")
    await day.call("GET", "/payment-links/tea")
    await day.call("GET", "/payment-links/none")
    await day.call("PATCH", "/payment-links/tea", {"max_uses": 3})
    await day.call("PATCH", "/payment-links/tea", {"max_uses": "many"})
    await day.call("PATCH", "/payment-links/none", {})
    address = f"/invoices/{(await day.call('POST', '/invoices', INVOICE))['data']['uuid']}"
    await day.call("POST", "/invoices", {**INVOICE, "number": "INV-000001"})
    await day.call("POST", "/invoices", {})
    await day.call("GET", "/invoices")
    await day.call("GET", "/invoices?from=yesterday")
    await day.call("GET", address)
    await day.call("PATCH", address, {"notes": "Thank you"})
    await day.call("PATCH", address, {"tax": "much"})
    for action in ("send", "send", "cancel", "cancel"):
        await day.call("POST", f"{address}/{action}")
    await day.call("PATCH", address, {"notes": "late"})
    for method, nowhere in (("GET", ""), ("PATCH", ""), ("POST", "/send"), ("POST", "/cancel")):
        await day.call(method, f"/invoices/{NO_UUID}{nowhere}", None if method == "GET" else {})


async def _customers_and_keys(day: Day) -> None:
    jane = {"name": "Jane", "email": "jane.doe@example.com", "phone": "+5511999990000"}
    made = (await day.call("POST", "/customers", jane))["data"]
    await day.call("POST", "/customers", jane)
    await day.call("POST", "/customers", {})
    await day.call("GET", "/customers?per_page=1")
    await day.call("GET", "/customers?from=yesterday")
    await day.call("GET", f"/customers/{made['uuid']}")
    await day.call("GET", "/customers/nobody@example.com")
    await day.call("GET", "/customers/ ")
    key = (await day.call("POST", "/api-keys", {"name": "Shop", "scopes": ["read", "write"]}))["data"]
    await day.call("POST", "/api-keys", {"scopes": ["everything"]})
    await day.call("GET", "/api-keys")
    await day.call("DELETE", f"/api-keys/{key['id']}")
    await day.call("DELETE", "/api-keys/999")


async def _webhooks(day: Day, receiver: Receiver) -> None:
    made = (await day.call("POST", "/webhooks", HOOK))["data"]
    await day.call("POST", "/webhooks", HOOK)
    await day.call("POST", "/webhooks", {"url": "nowhere"})
    await day.call("GET", "/webhooks")
    address = f"/webhooks/{made['id']}"
    other = (await day.call("POST", "/webhooks", {**HOOK, "url": f"{MADE_UP_HOST}/other"}))["data"]
    await day.call("GET", address)
    await day.call("PATCH", address, {"events": ["*"]})
    await day.call("PATCH", address, {"url": other["url"]})
    await day.call("PATCH", address, {"max_concurrency": "many"})
    await day.call("POST", f"{address}/rotate-secret", {"overlap_seconds": 3600})
    await day.call("POST", f"{address}/rotate-secret", {"overlap_seconds": -1})
    for one in (made, other):
        await day.call("DELETE", f"/webhooks/{one['id']}")
    for method, nowhere in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret")):
        await day.call(method, f"/webhooks/999{nowhere}", None if method in ("GET", "DELETE") else {})
    await day.call("POST", "/webhooks/tests")
    reached = (await day.call("POST", "/webhooks", {**HOOK, "url": receiver.url("/hook")}))["data"]
    await day.call("POST", "/webhooks/tests", {"endpoint_id": reached["id"]})
    await day.call("POST", "/webhooks/tests", {"endpoint_id": 999})
    await day.call("POST", "/webhooks/tests", {"endpoint_id": {}})
    [sent] = (await day.call("GET", "/webhooks/deliveries"))["data"]
    await day.call("GET", "/webhooks/deliveries?cursor=!")
    await day.call("GET", "/webhooks/deliveries?endpoint_id=wh_1")
    for _ in range(2):
        await day.call("POST", f"/webhooks/deliveries/{sent['id']}/resend")
    await day.call("POST", "/webhooks/deliveries/999/resend")


async def _events_and_feeds(day: Day) -> None:
    house = day.house
    feed = (await day.call("POST", "/webhooks/feeds", {"dialect": "standard"}))["data"]
    await day.call("POST", "/webhooks/feeds", {"dialect": "none"})
    await day.call("POST", "/payments", {"amount": 5, "currency": "BRL"})
    await house.db.write(
        lambda tx: planning.plan(tx, ids=house.scene.ids, keyring=house.scene.keyring, now=house.clock.now())
    )
    address = f"/webhooks/{feed['id']}"
    await day.call("GET", f"{address}/feed?limit=1")
    await day.call("GET", f"{address}/feed?limit=many")
    await day.call("POST", f"{address}/feed-token")
    await house.run("update webhook_endpoint set state = 1 where public_id = :id", id=feed["webhook_id"])
    await day.call("GET", f"{address}/feed")
    await house.run("update webhook_endpoint set state = 0 where public_id = :id", id=feed["webhook_id"])
    await day.call("DELETE", f"{address}/feed")
    for method, nowhere in (("GET", "/feed"), ("DELETE", "/feed"), ("POST", "/feed-token")):
        await day.call(method, f"/webhooks/999{nowhere}")
    listed = (await day.call("GET", "/events?per_page=1"))["data"]
    await day.call("GET", "/events?from=yesterday")
    await day.call("GET", f"/events/{listed[0]['id']}")
    await day.call("GET", "/events/evt_000000000000000000000000")


async def _what_any_call_is_told(day: Day) -> None:
    """Play, for an operation of each family of errors, what is wrong with a call whatever it asks for."""
    house = day.house
    reader = await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=("read",)))
    calls: list[dict[str, Any]] = [
        {"body": b"{"},
        {"fields": {}, "key": None},
        {"fields": {}, "key": reader.reveal()},
        {"body": b" " * 1_048_577},
        {"fields": {}, "headers": {"idempotency-key": "used"}},
    ]
    await house.merchant("POST", "/payments", ORDER, headers={"idempotency-key": "used"})
    for family, path in (("client", "/payments"), ("seed", "/payment-intents")):
        told = [await house.merchant("POST", path, **call) for call in calls]
        day.answers[family] = {str(answer.status): answer.json() for answer in told}
    await house.run("update api_key set rate_limit = 1")
    house.next_second()
    await house.merchant("GET", "/health")
    for family, path in (("client", "/payments"), ("seed", "/payment-intents")):
        day.answers[family]["429"] = (await house.merchant("GET", path)).json()


def written(answers: Examples) -> str:
    """Return the examples as they are kept; what differs from run to run gets one value."""
    text = json.dumps(answers, ensure_ascii=False, indent=1)
    text = re.sub(r"http://127\.0\.0\.1:\d+/hook", f"{MADE_UP_HOST}/webhooks", text)
    text = re.sub(r'(response_time_ms": )\d+', r"\g<1>84", text)
    return text + "\n"


async def given_anew() -> str:
    """Play the day on SQLite, where no number is left out; return the examples as they are kept."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/opentill.db"
        migrate(url)
        async with open_database(url) as database:
            house = await open_house(database, Path(folder))
            answers = await play(house)
            await house.close()
    return written(answers)


if __name__ == "__main__":
    TARGET.write_text(asyncio.run(given_anew()))
