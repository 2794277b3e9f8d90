"""The requests that the benchmarks send, as load templates and one at a time."""

import json
import secrets
from dataclasses import dataclass

from bench.load import KEY, VALUE, template
from bench.product import Merchant, ProductFailed, Server

PAYMENTS = "/api/v1/payments"
BODY = {
    "amount": "149.90",
    "currency": "BRL",
    "order_id": f"ORD-{KEY}",
    "gateway": "sandbox",
    "customer_name": "Ana Souza",
    "customer_email": f"{KEY}@example.com",
    "return_url": "https://shop.example.com/thanks",
    "description": "Two tickets",
    "metadata": {"cart": "c-1001"},
}
"""An ordinary order of a new customer; every field of the seed's own example."""


@dataclass(frozen=True)
class Creation:
    """Creating a payment: fresh idempotency key, fresh order, fresh customer."""

    path: str = PAYMENTS

    def template(self, merchant: Merchant) -> str:
        return template("POST", self.path, headers(merchant, KEY), json.dumps(BODY, separators=(",", ":")))

    def send(self, server: Server, merchant: Merchant) -> None:
        """Create one payment. Raises ProductFailed unless it was created."""
        key = secrets.token_hex(16)
        body = json.dumps(BODY, separators=(",", ":")).replace(KEY, key)
        status, answer = server.ask("POST", self.path, headers(merchant, key), body)
        if status != 201:
            raise ProductFailed(f"POST {self.path} answered {status}: {str(answer)[:300]}")


def reading(merchant: Merchant) -> str:
    """Return the template that reads one payment by its id, the plan's value."""
    return template("GET", f"{PAYMENTS}/{VALUE}", {"Authorization": f"Bearer {merchant.merchant_api_key}"})


def headers(merchant: Merchant, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {merchant.merchant_api_key}", "Idempotency-Key": key}
