"""A client that sends, reads and breaks on the same things as the Laravel SDK 1.0.x (merchant-api.md §19)."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from tests.contract.clients.transport import Json, Transport

PAYMENT_STATES: Final = ("pending", "processing", "completed", "failed", "cancelled", "expired")
SIGNATURES: Final = ("X-OP-Signature", "X-Signature", "X-OwnPay-Signature")
TOLERANCE_S: Final = 300


class OwnPayException(Exception):  # noqa: N818 - as the SDK names it
    def __init__(self, message: str, errors: Any) -> None:
        super().__init__(message)
        self.message, self._errors = message, errors

    def get_error_code(self) -> str | None:
        return self._errors[0]["code"] if isinstance(self._errors, list) and self._errors else None


class AuthenticationException(OwnPayException): ...


class NotFoundException(OwnPayException): ...


class ConflictException(OwnPayException): ...


class ValidationException(OwnPayException): ...


class RateLimitException(OwnPayException): ...


class ServerException(OwnPayException): ...


class ConnectionException(OwnPayException): ...


class Payment:
    """The SDK's value: what it does not know is pending."""

    def __init__(self, data: Json) -> None:
        self.payment_id = data.get("payment_id") or data.get("uuid") or ""
        self.token = data.get("token") or ""
        self.checkout_url = data.get("checkout_url") or ""
        self.status = data["status"] if data.get("status") in PAYMENT_STATES else "pending"


class Laravel:
    """`OwnPay::…`. Path parameters are raw, an empty body is `[]`, and no idempotency key is ever sent."""

    def __init__(self, transport: Transport, key: str) -> None:
        assert key, "The API key is empty"
        self._transport, self._key = transport, key

    async def create_payment(self, params: Json) -> Payment:
        return Payment((await self.call("POST", "/payments", params))["data"])

    async def get_payment(self, payment_id: str) -> Payment:
        return Payment((await self.call("GET", f"/payments/{payment_id}"))["data"])

    async def get(self, path: str, **query: object) -> Json:
        return await self.call("GET", f"/{path}" + (f"?{urlencode(query)}" if query else ""))

    async def post(self, path: str, params: Json | None = None) -> Json:
        return await self.call("POST", f"/{path}", params or {})

    async def delete(self, path: str) -> Json:
        return await self.call("DELETE", f"/{path}")

    async def call(self, method: str, target: str, params: Json | None = None) -> Json:
        headers = {
            "authorization": f"Bearer {self._key}",
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": "GuzzleHttp/7",
        }
        body = b"" if params is None else json.dumps(params or []).encode()  # PHP writes an empty array as a list
        answer = await self._transport(method, target, headers, body)
        if "retry-after" in answer.headers:
            raise ConnectionException("cURL error: the server asked to retry", None)
        try:
            told: Json = json.loads(answer.body)
        except ValueError:
            raise ConnectionException("The response is not JSON", None) from None
        if 200 <= answer.status < 300:
            return told
        raise self._exception(answer.status)(self._text(told), told.get("errors"))

    def _exception(self, status: int) -> type[OwnPayException]:
        known = {401: AuthenticationException, 403: AuthenticationException, 404: NotFoundException}
        known |= {409: ConflictException, 429: RateLimitException}
        return known.get(status, ServerException if status >= 500 else ValidationException)

    def _text(self, told: Json) -> str:
        for name in ("error", "message"):
            if isinstance(told.get(name), str):
                return str(told[name])
        return "Unknown error"


class WebhookRoute:
    """The route the package registers."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def receive(self, headers: Mapping[str, str], body: bytes, *, now_s: int) -> Json | None:
        """Return what the application is given, None where the request is refused."""
        signature = next((headers[name] for name in SIGNATURES if name in headers), "").removeprefix("sha256=")
        expected = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        if abs(now_s - int(headers.get("X-OwnPay-Timestamp", "0"))) > TOLERANCE_S:
            return None
        told = json.loads(body)
        return {
            "amount": told["amount"] if isinstance(told.get("amount"), str) else None,
            "customer": told["customer"] if isinstance(told.get("customer"), dict) else None,
            "metadata": told["metadata"] if isinstance(told.get("metadata"), dict) else None,
            "status": told.get("status"),
        }
