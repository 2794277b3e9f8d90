"""Refusals as answers of the merchant API: one table of statuses, two families of shapes (merchant-api.md §3)."""

from typing import Any, Final

from opentill.api.merchant.call import MerchantCall
from opentill.kernel.errors import Busy, Conflict, Forbidden, Invalid, NotFound, Refused
from opentill.web.exchange import Answer, Header
from opentill.web.json_body import MalformedJson, write

SDK_AGENTS: Final = ("OwnPay-NodeJS/", "GuzzleHttp/")  # §3.3: their clients read `error` as a text
GUZZLE: Final = "GuzzleHttp/"  # its SDK takes a Retry-After header for a connection error (§19.1)
BAD_REQUESTS: Final = frozenset({"INVALID_REFUND_PARAMETERS"})  # 400 in the client family too (§9.6)
HEALTH: Final = "/health"  # says more of a database that is away (§9.14)
SERVER_ERROR: Final = "Something went wrong on our side. Quote the request id to the operator of this gateway."


class Stopped(Refused):
    """A check before the operation said no, with its own status and headers."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: tuple[Header, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = headers
        self.retry_after_s = retry_after_s


def refused(call: MerchantCall, refusal: Refused) -> Answer:
    """Return the answer to a refusal."""
    headers: tuple[Header, ...] = ()
    retry_after_s = None
    match refusal:
        case Stopped():
            status, headers, retry_after_s = refusal.status, refusal.headers, refusal.retry_after_s
        case Invalid():
            return _answer(call, 400 if call.seed else 422, _validation(call, refusal))
        case MalformedJson():
            status = 400
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case Forbidden():
            status = 403
        case Busy():
            status, retry_after_s = 503, max(refusal.retry_after_s, 1)
        case _:
            status = 400 if call.seed or refusal.code in BAD_REQUESTS else 422
    if retry_after_s is not None and not call.agent.startswith(GUZZLE):
        headers += ((b"retry-after", b"%d" % retry_after_s),)
    code, message = refusal.code, refusal.message
    if isinstance(refusal, Busy):
        unit = "second" if retry_after_s == 1 else "seconds"
        message = f"The service cannot do this now. Try again in {retry_after_s} {unit}."
    fields = _plain(call, code, message, retry_after_s)
    if status == 503 and call.path == HEALTH:
        fields["data"] = {"status": "degraded", "db": "error"}
    return _answer(call, status, fields, headers)


def failed(call: MerchantCall) -> Answer:
    """Return the 500 of a bug."""
    return _answer(call, 500, _plain(call, call.failure, SERVER_ERROR, None))


def _plain(call: MerchantCall, code: str, message: str, retry_after_s: int | None) -> dict[str, Any]:
    fields = _opening(call, code, message)
    if not call.seed:
        fields["errors"] = [{"code": code, "message": message, "field": None}]
    if retry_after_s is not None:
        fields["retry_after"] = retry_after_s
    return fields


def _validation(call: MerchantCall, invalid: Invalid) -> dict[str, Any]:
    by_field: dict[str, list[str]] = {}
    for fault in invalid.faults:
        by_field.setdefault(fault.field, []).append(fault.message)
    if call.seed:
        return {**_opening(call, invalid.code, "Validation failed."), "errors": by_field}
    entries = [{"code": fault.code, "message": fault.message, "field": fault.field} for fault in invalid.faults]
    return {**_opening(call, invalid.code, invalid.message), "errors": entries, "field_errors": by_field}


def _opening(call: MerchantCall, code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": message if _error_is_text(call) else True, "message": message, "code": code}


def _error_is_text(call: MerchantCall) -> bool:
    """Say what `error` is for this caller; the first match of §3.3 decides."""
    if call.seed:
        return False
    accept = (call.header(b"accept") or "").replace(" ", "").lower()
    for dialect in ("sdk", "seed"):
        if f'application/json;profile="{dialect}"' in accept:
            return dialect == "sdk"
    if call.key is not None and call.key.dialect != "auto":
        return call.key.dialect == "sdk"
    if call.key is not None and call.key.merchant.options.dialect != "auto":
        return call.key.merchant.options.dialect == "sdk"
    return call.agent.startswith(SDK_AGENTS)


def _answer(call: MerchantCall, status: int, fields: dict[str, Any], headers: tuple[Header, ...] = ()) -> Answer:
    return Answer(status, write({**fields, "request_id": call.request_id}), headers)
