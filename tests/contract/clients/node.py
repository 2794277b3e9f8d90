"""A client that sends, reads and breaks on the same things as the Node SDK 1.0.x (merchant-api.md §19)."""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

from tests.contract.clients.transport import Json, Transport

RETRIED: Final = (429, 500, 502, 503, 504)
ATTEMPTS_MAX: Final = 3


class OwnPayError(Exception):
    """What the SDK throws; 400 has no class of its own."""

    def __init__(self, message: str, *, code: str | None, request_id: str | None, errors: Any = None) -> None:
        super().__init__(message)
        self.message, self.error_code, self.request_id, self._errors = message, code, request_id, errors

    def get_field_errors(self) -> dict[str, list[str]]:
        """Group messages by field. Breaks on anything but an array of entries."""
        found: dict[str, list[str]] = {}
        assert isinstance(self._errors, list), "errors.forEach is not a function"
        for entry in self._errors:
            found.setdefault(entry["field"] or "", []).append(entry["message"])
        return found


class AuthenticationError(OwnPayError): ...


class ScopeError(OwnPayError):
    """`PermissionError` in the SDK."""


class NotFoundError(OwnPayError): ...


class IdempotencyError(OwnPayError): ...


class ValidationError(OwnPayError): ...


class RateLimitError(OwnPayError): ...


class ApiError(OwnPayError): ...


TYPES: Final[dict[int, type[OwnPayError]]] = {
    401: AuthenticationError,
    403: ScopeError,
    404: NotFoundError,
    409: IdempotencyError,
    422: ValidationError,
    429: RateLimitError,
}


class Node:
    """`new OwnPay({ apiKey, superAdminEmail })`. *sleep* is given seconds to wait."""

    def __init__(
        self,
        transport: Transport,
        key: str,
        *,
        sleep: Callable[[float], Awaitable[None]],
        super_admin_email: str | None = None,
    ) -> None:
        assert key.startswith("op_"), "Invalid API key format"
        assert len(key) >= 12, "Invalid API key format"
        self._transport, self._key, self._sleep, self._email = transport, key, sleep, super_admin_email
        self.sent = 0

    async def create_payment(self, params: Json, *, idempotency_key: str | None = None) -> Json:
        body = {name: value for name, value in params.items() if value not in (None, "")}
        body |= {"amount": str(params["amount"]), "currency": params["currency"].upper()}
        return (await self.call("POST", "/payments", body, idempotency_key=idempotency_key))["data"]  # type: ignore[no-any-return]

    async def get(self, resource: str, name: str | int) -> Json:
        """Read one object; its name is percent-encoded."""
        return (await self.call("GET", f"/{resource}/{quote(str(name), safe='')}"))["data"]  # type: ignore[no-any-return]

    async def list(self, resource: str, **query: object) -> Json:
        """Read a list with its `meta`, all four numbers of which the SDK types as numbers."""
        page = await self.call("GET", f"/{resource}" + (f"?{urlencode(query)}" if query else ""))
        meta = page["meta"]
        assert all(isinstance(meta[name], int) for name in ("page", "per_page", "total", "total_pages")), meta
        return page

    async def post(self, resource: str, body: Json | None = None) -> Json:
        return (await self.call("POST", f"/{resource}", body))["data"]  # type: ignore[no-any-return]

    async def delete(self, resource: str, name: str | int) -> Json:
        return (await self.call("DELETE", f"/{resource}/{quote(str(name), safe='')}"))["data"]  # type: ignore[no-any-return]

    async def call(
        self, method: str, target: str, body: Json | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        request_id = f"req-{self.sent}"
        headers = {
            "authorization": f"Bearer {self._key}",
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": "OwnPay-NodeJS/1.0.0",
            "x-request-id": request_id,
        }
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        if target.startswith("/api-keys") and self._email:
            headers["x-super-admin-email"] = self._email
        content = b"" if body is None else json.dumps(body).encode()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            self.sent += 1
            answer = await self._transport(method, target, headers, content)
            try:
                told = json.loads(answer.body)
            except ValueError:
                told = None  # taken for a fault of the network
            if told is not None and 200 <= answer.status < 300:
                return told  # type: ignore[no-any-return]
            if attempt == ATTEMPTS_MAX or (told is not None and answer.status not in RETRIED):
                break
            after = (told or {}).get("retry_after")
            await self._sleep(after if isinstance(after, int) else 2 ** (attempt - 1))
        raise self._error(answer.status, told or {}, request_id)

    def _error(self, status: int, told: Json, request_id: str) -> OwnPayError:
        kind = TYPES.get(status, ApiError if status >= 500 else OwnPayError)
        message = told.get("error")
        errors = told.get("errors")
        code = errors[0]["code"] if isinstance(errors, list) and errors else None
        text = "true" if message is True else str(message)
        return kind(text, code=code, request_id=told.get("request_id", request_id), errors=errors)


def verify_webhook_signature(
    body: bytes, header: str, secret: str, timestamp: str | None = None, *, now_s: int = 0
) -> bool:
    """Compare the header as given with the bare digest; the time, in seconds or milliseconds, is not signed."""
    if timestamp is not None:
        sent_s = int(timestamp) // (1000 if len(timestamp) > 11 else 1)
        if abs(now_s - sent_s) > 300:
            return False
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), header)
