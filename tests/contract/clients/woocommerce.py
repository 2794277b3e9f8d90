"""A shop that sends, reads and breaks on the same things as the WooCommerce plugin 1.1.x (merchant-api.md §19)."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.contract.clients.transport import Json, Transport

PAID: Final = ("completed", "paid")


@dataclass
class Order:
    """An order of the shop, and what the plugin remembers of its payment."""

    number: int
    total: str
    currency: str
    status: str = "pending"
    payment_id: str = ""
    note: str = ""


class WooCommerce:
    """One shop: its orders, its settings, its webhook route."""

    def __init__(self, transport: Transport, key: str, *, secret: str = "", site: str = "https://shop.example") -> None:
        self._transport, self._key, self._secret, self._site = transport, key, secret, site
        self.orders: dict[int, Order] = {}
        self.notices: list[str] = []

    async def places(self, order: Order, **customer: str) -> str | None:
        """Return where the customer is sent, None where a notice is shown instead."""
        self.orders[order.number] = order
        fields = {
            "amount": order.total,
            "currency": order.currency,
            "callback_url": f"{self._site}/wc-api/ownpay_webhook/",
            "redirect_url": f"{self._site}/checkout/order-received/{order.number}/?key=wc_order_x",
            "cancel_url": f"{self._site}/cart/?cancel_order=true&amp;order_id={order.number}&amp;_wpnonce=abc",
            "customer_name": customer.get("name", ""),
            "customer_email": customer.get("email", ""),
            "customer_phone": customer.get("phone", ""),
            "reference": str(order.number),
        }
        headers = self._headers | {"content-type": "application/json"}
        answer = await self._transport("POST", "/payments", headers, json.dumps(fields).encode())
        told: Json = json.loads(answer.body)
        if answer.status != 201 or told["success"] is not True:
            self.notices.append(self._notice(told))
            return None
        order.payment_id = told["data"]["payment_id"]
        assert told["data"]["token"]
        return str(told["data"]["checkout_url"])

    async def thanks(self, order: Order) -> str:
        """Look once, when the thank-you page is shown; return the order's state then."""
        answer = await self._transport("GET", f"/payments/{order.payment_id}", self._headers, b"")
        told: Json = json.loads(answer.body)
        if answer.status == 200 and told["success"] is True:
            data = told["data"]
            if abs(float(data["amount"]) - float(order.total)) > 0.01 or data["currency"] != order.currency:
                order.note = "amount or currency differs"
            elif data["status"] in PAID:
                order.status = "paid"
        return order.status

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take a webhook and return the status the plugin answers."""
        if not self._secret:
            return 500
        signature = (headers.get("X-Signature") or headers.get("X-OwnPay-Signature") or "").removeprefix("sha256=")
        if not signature:
            return 401
        if not hmac.compare_digest(hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest(), signature):
            return 403
        try:
            told = json.loads(body)
        except ValueError:
            return 400
        data = told["data"] if isinstance(told.get("data"), dict) else told
        order = self._named(data)
        if order is None:
            return 404
        status = data.get("status")
        if abs(float(data["amount"]) - float(order.total)) > 0.01:
            order.note = "amount differs"
        elif status in PAID:
            order.status = "paid"
        elif status in ("failed", "cancelled"):
            order.status = status
        return 200

    def _named(self, data: Json) -> Order | None:
        reference = str(data.get("reference") or "")
        if reference.isdigit() and int(reference) in self.orders:
            return self.orders[int(reference)]
        for name in ("id", "payment_id"):
            for order in self.orders.values():
                if order.payment_id and data.get(name) == order.payment_id:
                    return order
        return None

    def _notice(self, told: Json) -> str:
        """Join the messages. PHP stops with an error on a map, on plain texts and on an empty list."""
        errors = told.get("errors")
        if errors is None:
            return str(told["error"])
        assert isinstance(errors, list), "errors is a map"
        assert errors, "errors is empty"
        return " ".join(entry["message"] for entry in errors)

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self._key}",
            "accept": "application/json",
            "user-agent": f"WordPress/6.5; {self._site}",
        }
