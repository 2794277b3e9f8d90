"""The second API page: registering, listing and removing webhooks of the PIX API, and the events they bring."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentill.cli.demo.calls import Answer, curl, header_arguments, hmac_sha512, say
from opentill.cli.demo.receiver import Delivery, Receiver
from opentill.cli.demo.statements import Statements

EVENTS: Final = [
    "pix.charge.created",
    "pix.charge.paid",
    "pix.charge.expired",
    "pix.payout.processing",
    "pix.payout.confirmed",
    "pix.payout.failed",
    "pix.payout.returned",
    "pix.refund.requested",
    "pix.refund.completed",
    "pix.return.received",
    "webhook.test",
]
SEED_BODY: Final = '{"url":"https://yoursite.com/webhook","events":["pix.charge.paid","pix.payout.confirmed"]}'
CREATED_KEYS: Final = ["worked", "id", "url", "events", "secret", "description", "is_active", "created_at"]
LISTED_KEYS: Final = ["id", "url", "events", "status", "created_at"]
INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PAID_BY_ITSELF: Final = 10_001  # centavos; the sandbox bank's payers pay this amount after one second
EXPIRES_BY_ITSELF: Final = 10_006  # centavos; expires after three seconds, and is paid one second later


class PixPage:
    """Walks through the page with one credential."""

    def __init__(self, base_url: str, shop: Mapping[str, str], receiver: Receiver, statements: Statements) -> None:
        self._api = f"{base_url}/api/external"
        self._id = shop["client_id"]
        self._secret = shop["client_secret"]
        self._receiver = receiver
        self._statements = statements

    def walk(self) -> None:
        print("\nPIX API, /api/external")
        self._signing()
        created = self._create()
        self._insecure()
        self._list(created)
        self._remove(created["id"])
        self._events()

    def _signing(self) -> None:
        check = self._statements
        unsigned = self._call("POST", "/webhooks", SEED_BODY, sign=False)
        forged = self._call("POST", "/webhooks", SEED_BODY, digest="0" * 128)
        stranger = self._call("GET", "/webhooks", secret="sk_test_" + "0" * 40)
        check.equal("Authorization: ApiKey {client_id}:{client_secret} is required", stranger.status, 401)
        check.equal("The hmac header is required", unsigned.status, 401)
        check.equal("A wrong hmac is refused", forged.status, 401)

    def _create(self) -> dict[str, Any]:
        check = self._statements
        answer = self._call("POST", "/webhooks", SEED_BODY)
        created: dict[str, Any] = answer.json or {}
        check.equal("Create Webhook answers 201 to the page's own curl call", answer.status, 201)
        check.equal("The answer has exactly the page's eight fields", list(created), CREATED_KEYS)
        check.check("id is wh_ and 12 hex", re.fullmatch(r"wh_[0-9a-f]{12}", created["id"]) is not None, seen=created)
        check.check("A secret is generated, 32 hex", re.fullmatch(r"[0-9a-f]{32}", created["secret"]) is not None)
        check.check("created_at is an instant", INSTANT.fullmatch(created["created_at"]) is not None, seen=created)
        asked = json.loads(SEED_BODY)
        shown = {k: created[k] for k in ("worked", "url", "events", "description", "is_active")}
        expected = {"worked": True, **asked, "description": None, "is_active": True}
        check.equal("The answer repeats what was asked", shown, expected)
        return created

    def _insecure(self) -> None:
        check = self._statements
        plain = '{"url":"http://yoursite.com/plain"}'
        refused = self._call("POST", "/webhooks", plain)
        exact = (refused.status, refused.text)
        expected = {"worked": False, "detail": "URL must use HTTPS"}
        check.check(
            "http is refused with 422 and exactly the page's body",
            refused.status == 422 and refused.json == expected,
            seen=exact,
        )
        allowed = self._call("POST", "/webhooks", '{"url":"http://yoursite.com/plain","allow_insecure":true}')
        check.equal("allow_insecure: true permits http", allowed.status, 201)
        check.equal("If events is omitted, all eleven are subscribed, in order", allowed.json["events"], EVENTS)
        chosen = self._call(
            "POST", "/webhooks", '{"url":"https://yoursite.com/own","secret":"our-own-secret-of-this-shop"}'
        )
        check.equal("A secret of one's own is kept", chosen.json["secret"], "our-own-secret-of-this-shop")
        for made in (allowed, chosen):
            self._call("DELETE", f"/webhooks/{made.json['id']}", quiet=True)

    def _list(self, created: Mapping[str, Any]) -> None:
        check = self._statements
        listed = self._call("GET", "/webhooks")
        items = listed.json["webhooks"]
        check.equal("List Webhooks answers 200 without an hmac", listed.status, 200)
        check.check(
            "Each listed webhook has exactly the page's five fields", all(list(i) == LISTED_KEYS for i in items)
        )
        check.check("The secret is not shown again", created["secret"] not in listed.text)
        expected = {**{k: created[k] for k in ("id", "url", "events", "created_at")}, "status": "active"}
        check.check("The new webhook is listed as active", expected in items, seen=items)

    def _remove(self, webhook_id: str) -> None:
        check = self._statements
        removed = self._call("DELETE", f"/webhooks/{webhook_id}")
        check.equal("Remove Webhook answers 200", (removed.status, removed.json), (200, {"worked": True}))
        again = self._call("DELETE", f"/webhooks/{webhook_id}")
        expected = (404, {"worked": False, "detail": "Webhook not found"})
        check.equal("Removing it again answers 404 with exactly the page's body", (again.status, again.json), expected)

    def _events(self) -> None:
        check = self._statements
        hook = {"url": f"{self._receiver.address}/pix", "allow_insecure": True}
        secret = self._call("POST", "/webhooks", json.dumps(hook)).json["secret"]
        charge = self._call("POST", "/pix/cash-in", json.dumps({"amount": PAID_BY_ITSELF, "external_id": "order-9876"}))
        check.equal("A PIX charge is created", charge.status, 200)
        short = self._call("POST", "/pix/cash-in", json.dumps({"amount": EXPIRES_BY_ITSELF}))
        paid = charge.json["transaction_id"]
        self._event("pix.charge.created", "QR code generated", paid, secret)
        self._event("pix.charge.paid", "PIX received and settled", paid, secret)
        self._event("pix.charge.expired", "QR code expired", short.json["transaction_id"], secret)

    def _event(self, event: str, meaning: str, transaction_id: str, secret: str) -> None:
        check = self._statements
        told = self._receiver.wait_for(_of(event, transaction_id), timeout_s=30)
        check.check(f"{event}: {meaning}", told is not None)
        if told is None:
            return
        stamp, received = told.headers["x-owem-timestamp"], told.headers["x-owem-signature"]
        check.check(
            "X-Owem-Signature verifies with the webhook's secret (HMAC-SHA256)",
            hmac.compare_digest(_signature(secret, stamp, told.body), received),
            seen=received,
        )
        check.check("It does not verify with the client_secret", _signature(self._secret, stamp, told.body) != received)
        print(f"  webhook {event} verified: X-Owem-Signature: {received[:23]}…")

    def _call(
        self,
        method: str,
        path: str,
        body: str | None = None,
        *,
        sign: bool = True,
        digest: str = "",
        secret: str = "",
        quiet: bool = False,
    ) -> Answer:
        headers = {"Authorization": f"ApiKey {self._id}:{secret or self._secret}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            if sign:
                headers["hmac"] = digest or hmac_sha512(body, self._secret)
        data = ["-d", body] if body is not None else []
        answer = curl("-X", method, self._api + path, *header_arguments(headers), *data)
        if not quiet:
            say(method, path, answer)
        return answer


def _signature(secret: str, stamp: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _of(event: str, transaction_id: str) -> Callable[[Delivery], bool]:
    def wanted(delivery: Delivery) -> bool:
        named = delivery.headers.get("x-owem-event-type") == event
        return named and json.loads(delivery.body).get("transaction_id") == transaction_id

    return wanted
