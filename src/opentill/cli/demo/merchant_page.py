"""The first API page: base URL, bearer keys, rate limits, errors, payment intents, signed webhooks."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from opentill.cli.demo import payer
from opentill.cli.demo.calls import Answer, curl, header_arguments, say
from opentill.cli.demo.receiver import Delivery, Receiver
from opentill.cli.demo.statements import Statements
from opentill.kernel.clock import SystemClock, unix_seconds

INTENT: Final[dict[str, Any]] = {
    "gateway": "sandbox",
    "amount": 99.99,
    "currency": "USD",
    "order_id": "ORD-1001",
    "customer_name": "Jane Smith",
    "customer_email": "jane@example.com",
    "return_url": "https://shop.example/thanks",
}
LIMIT_HEADERS: Final = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


class MerchantPage:
    """Walks through the page with one merchant's key."""

    def __init__(self, base_url: str, shop: Mapping[str, str], receiver: Receiver, statements: Statements) -> None:
        self._api = f"{base_url}/api/v1"
        self._shop = shop
        self._receiver = receiver
        self._statements = statements

    def walk(self) -> None:
        print("\nMerchant API, /api/v1")
        self._authentication()
        self._statuses()
        self._payment()
        self._limit()

    def _authentication(self) -> None:
        check = self._statements
        missing = self._call("GET", "/transactions", key=None)
        wrong = self._call("GET", "/transactions", key="op_00000000." + "0" * 48)
        right = self._call("GET", "/transactions")
        check.check("Every endpoint requires a bearer key with the prefix op_", missing.status == 401, seen=missing)
        check.check("401: invalid or missing API key", (missing.status, wrong.status) == (401, 401), seen=wrong)
        check.check("200: success", right.status == 200 and right.json["success"] is True, seen=right)

    def _statuses(self) -> None:
        check = self._statements
        unknown = self._call("GET", "/payments/01890a5d-ac96-774b-bcce-b302099a8057")
        no_amount = self._call("POST", "/payment-intents", {k: v for k, v in INTENT.items() if k != "amount"})
        read_only = self._call("POST", "/payment-intents", INTENT, key=self._shop["read_only_key"])
        bad_date = self._call("GET", "/transactions?from=yesterday")
        check.equal("400: bad request, invalid parameters", no_amount.status, 400)
        check.equal("403: insufficient permissions", read_only.status, 403)
        check.equal("404: resource not found", unknown.status, 404)
        check.equal("422: unprocessable, validation failed", bad_date.status, 422)
        for answer in (unknown, no_amount, read_only, bad_date):
            self._check_error(answer)

    def _payment(self) -> None:
        check = self._statements
        created = self._call("POST", "/payment-intents", {**INTENT, "callback_url": f"{self._receiver.address}/shop"})
        check.equal("201: POST /api/v1/payment-intents initiates a payment", created.status, 201)
        page = payer.press(created.json["payment_url"], form_ends_with="/gateway", gateway="sandbox")
        page = payer.press(created.json["payment_url"], form_ends_with="/payment", outcome="pay")
        print(f"  the payer pays on the checkout page                         {page.status}")
        paid = self._call("GET", f"/payments/{created.json['data']['payment_id']}")
        check.equal("The payer's sandbox payment completes", paid.json["data"]["status"], "completed")
        told = self._receiver.wait_for(_is("payment.completed"), timeout_s=15)
        check.check("OwnPay sends outbound webhook notifications when payment events occur", told is not None)
        if told is not None:
            self._signature(told)

    def _signature(self, told: Delivery) -> None:
        """Verify as the page's sample does: 'sha256=' . hash_hmac('sha256', $payload, $secret)."""
        check = self._statements
        secret = self._shop["webhook_secret"]
        received = told.headers.get("x-ownpay-signature", "")
        check.check(
            "X-OwnPay-Signature is sha256= and the HMAC-SHA256 of the raw body",
            hmac.compare_digest(_signature(secret, told.body), received),
            seen=received,
        )
        changed = told.body.replace(b"99.99", b"00.01")
        check.check("A changed body does not verify", changed != told.body and _signature(secret, changed) != received)
        print(f"  webhook payment.completed verified: X-OwnPay-Signature: {received[:23]}…")

    def _limit(self) -> None:
        check = self._statements
        key = self._shop["limited_key"]
        answers = [self._call("GET", "/transactions", key=key, quiet=True) for _ in range(7)]
        over = next((answer for answer in answers if answer.status == 429), None)
        check.check("429: rate limit exceeded", over is not None, seen=[answer.status for answer in answers])
        if over is not None:
            say("GET", "/transactions, once too often", over)
            self._check_error(over)
        left = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers if answer.status == 200]
        falling = all(later == earlier - 1 or later > earlier for earlier, later in pairwise(left))
        check.check("X-RateLimit-Remaining counts down", falling, seen=left)

    def _check_error(self, answer: Answer) -> None:
        body = answer.json
        right = body.get("error") is True and all(isinstance(body.get(k), str) and body[k] for k in ("message", "code"))
        self._statements.check("Every error has error: true, a message and a code", right, seen=answer.text)

    def _call(self, method: str, path: str, body: Any = None, *, key: str | None = "", quiet: bool = False) -> Answer:
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key or self._shop['merchant_api_key']}"
        data = ["-d", json.dumps(body)] if body is not None else []
        answer = curl("-X", method, self._api + path, *header_arguments(headers), *data)
        if not quiet:
            say(method, path, answer)
        self._check_every(answer)
        return answer

    def _check_every(self, answer: Answer) -> None:
        check = self._statements
        is_json = answer.headers.get("content-type", "").startswith("application/json") and bool(answer.json)
        check.check("All API responses are JSON", is_json, seen=answer.text)
        limits = [answer.headers.get(name, "") for name in LIMIT_HEADERS]
        check.check("The three rate limit headers are on every response", all(map(str.isdigit, limits)), seen=limits)
        if limits[2].isdigit():
            ahead_s = int(limits[2]) - unix_seconds(SystemClock().now())
            check.check(
                "X-RateLimit-Reset is the Unix time at which the window resets", -2 < ahead_s <= 61, seen=ahead_s
            )


def _signature(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _is(event: str) -> Any:
    return lambda delivery: delivery.headers.get("x-ownpay-event") == event
