"""An example of every answer of the PIX API, for its document: good ones, and every refusal in its words."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

CHARGE: Final = "k3v9q0x7m2b5n8c1z4l6j0h2g"
PAYOUT: Final = "PIXOUT20260307a1b2c3d4e5f6"
REFUND: Final = "PIXRET20260307a1b2c3d4e5f6"
HOOK: Final = "wh_a1b2c3d4e5f6"
EVENT: Final = "evt_019cc8f0a1b2c3d4e5f60718"
DELIVERY: Final = "dlv_019cc8f0a1b2c3d4e5f60719"
MED: Final = "MED20260310001"
E2E_OUT: Final = "E99999001202603071530abcdef12345"
E2E_IN: Final = "E99999002202603071530abcdef12345"
NOW: Final = "2026-03-07T15:30:00Z"
LATER: Final = "2026-03-07T15:30:02Z"
CODE: Final = (
    "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000520400005303986540530.005802BR5912Loja Exemplo"
    "6009SAO PAULO62290525k3v9q0x7m2b5n8c1z4l6j0h2g63041E9D"
)
NOT_FOUND: Final = "Not found"
WORKED: Final = {"worked": True}

_ROW: Final = {
    "id": "6f1c2c3e-8a51-4c0e-9d0b-2f6f7d1b9a10", "transaction_id": PAYOUT, "end_to_end_id": E2E_OUT,
    "external_id": "order-9876", "type": "pix", "direction": "outbound", "status": "completed", "amount": 300000,
    "fee_amount": 350, "net_amount": 300350, "description": "Pedido 1001", "counterparty_name": "Fulano de Tal",
    "recipient_key": "fulano@example.com", "payer_document": None, "recipient_document": "***456789**",
    "payer_ispb": None, "payer_bank_name": None, "original_transaction_id": None, "created_at": NOW,
    "completed_at": LATER,
}  # fmt: skip
_PROOF: Final = {
    **{name: _ROW[name] for name in ("transaction_id", "end_to_end_id", "external_id", "type", "direction", "status",
                                     "amount")},
    "amount_formatted": "R$ 30,00", "fee_amount": 350, "fee_formatted": "R$ 0,035",
    **{name: _ROW[name] for name in ("net_amount", "description", "counterparty_name", "recipient_key", "created_at",
                                     "completed_at")},
    "institution": {"name": "Banco Exemplo", "cnpj": "11.222.333/0001-81", "ispb": "11222333"},
}  # fmt: skip
_LISTED: Final = {
    "id": HOOK, "url": "https://yoursite.com/webhook", "events": ["pix.charge.paid", "pix.payout.confirmed"],
    "status": "active", "created_at": NOW,
}  # fmt: skip
_WEBHOOK: Final = {
    **_LISTED, "is_active": True, "description": None, "allow_insecure": False, "retry_schedule": None,
    "timeout_seconds": 10, "disabled_reason": None, "updated_at": NOW,
}  # fmt: skip
_ATTEMPT: Final = {"number": 1, "started_at": NOW, "duration_ms": 84, "response_status": 200, "error": None}
_DELIVERY: Final = {
    "id": DELIVERY, "event_id": EVENT, "event_type": "pix.charge.paid", "status": "succeeded", "attempts": 1,
    "next_attempt_at": None, "created_at": NOW, "last_attempt": _ATTEMPT,
}  # fmt: skip
_MED: Final = {
    "id": MED, "type": "REFUND_REQUEST", "status": "ACKNOWLEDGED", "amount": 300000, "original_end_to_end_id": E2E_IN,
    "created_at": "2026-03-10T09:00:00Z",
}  # fmt: skip
_PAGE: Final = {"page": 1, "per_page": 20}

GOOD: Final[Mapping[str, Mapping[str, Any]]] = {
    "createWebhook": {
        "id": HOOK, "url": "https://yoursite.com/webhook", "events": ["pix.charge.paid", "pix.payout.confirmed"],
        "secret": "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4", "description": None, "is_active": True, "created_at": NOW,
    },
    "listWebhooks": {"webhooks": [_LISTED]},
    "deleteWebhook": {},
    "readWebhook": {"webhook": _WEBHOOK},
    "changeWebhook": {"webhook": {**_WEBHOOK, "status": "paused", "is_active": False}},
    "rotateWebhookSecret": {
        "id": HOOK, "secret": "00112233445566778899aabbccddeeff", "previous_secret_expires_at": "2026-03-08T15:30:00Z",
    },
    "testWebhook": {"event_id": EVENT, "delivery_id": DELIVERY},
    "listDeliveries": {"data": [_DELIVERY], **_PAGE},
    "readDelivery": {
        "delivery": {
            **_DELIVERY, "body": '{"event_type":"pix.charge.paid","status":"paid"}',
            "attempt_log": [{**_ATTEMPT, "response_body": "ok"}],
        },
    },
    "redeliver": {"delivery_id": DELIVERY, "event_id": EVENT},
    "createCharge": {
        "transaction_id": CHARGE, "qr_code": CODE, "qr_code_image": "data:image/png;base64,iVBORw0KGgo=",
        "external_id": "order-9876", "amount": 300000, "status": "active", "expires_at": "2026-03-08T15:30:00Z",
    },
    "cancelCharge": {"transaction_id": CHARGE, "status": "cancelled"},
    "createPayout": {
        "transaction_id": PAYOUT, "end_to_end_id": E2E_OUT, "external_id": "order-9876", "amount": 300000,
        "fee_amount": 350, "net_amount": 300350, "status": "accepted", "detail": "PIX enviado para processamento",
    },
    "approvePayout": {
        "transaction_id": PAYOUT, "status": "processing", "detail": "Transaction approved and sent for processing",
    },
    "createRefund": {"refund_id": REFUND, "transaction_id": CHARGE, "amount": 100000, "status": "processing"},
    "listTransactions": {"data": [_ROW], **_PAGE},
    "readStatement": {"data": [_ROW], **_PAGE},
    "readTransaction": {"data": _ROW},
    "readTransactionByEndToEndId": {"data": _ROW},
    "readTransactionByExternalId": {"data": _ROW},
    "listTransactionsByTag": {"data": [_ROW]},
    "readProof": {"receipt": _PROOF},
    "readBalance": {"balance": 3000000, "available": 2700000, "pending": 300000, "currency": "BRL"},
    "listKeys": {
        "keys": [{"key": "123e4567-e12b-12d1-a456-426655440000", "key_type": "evp", "status": "active",
                  "created_at": NOW}],
    },
    "validateCpf": {"valid": True, "formatted": "123.456.789-09"},
    "listMeds": {"meds": [_MED]},
    "readMed": {"med": {**_MED, "reason": "FRAUD"}},
    "defendMed": {
        "status": "defense_submitted", "med_id": MED, "block_id": "6f1c2c3e-8a51-4c0e-9d0b-2f6f7d1b9a11",
        "evidence_count": 1, "defense_submitted_at": "2026-03-11T08:00:00Z",
    },
    "sandboxPayCharge": {"end_to_end_ids": [E2E_IN]},
    "sandboxReceive": {"end_to_end_ids": [E2E_IN]},
    "sandboxExpireCharge": {"transaction_id": CHARGE, "status": "expired"},
    "sandboxSettlePayout": {"transaction_id": PAYOUT},
    "sandboxReturnPayout": {"transaction_id": PAYOUT, "return_id": "D99999002202603081015zyxwvu98765"},
    "sandboxSettleRefund": {"refund_id": REFUND},
    "sandboxOpenMed": {"med_id": MED},
    "sandboxResolveMed": {"med_id": MED, "status": "CLOSED"},
    "sandboxFund": {"transaction_id": "PIXIN20260307a1b2c3d4e5f6", "end_to_end_id": E2E_IN, "amount": 100000000},
    "sandboxScriptFault": {"id": "flt_1"},
    "sandboxListFaults": {
        "faults": [{"id": "flt_1", "operation": "charge.create", "fault": "timeout_after",
                    "match": {"external_id": "order-9876"}, "delay_ms": 0, "count": 1, "used": 0}],
    },
    "sandboxClearFaults": {},
}  # fmt: skip

PIPELINE: Final[Mapping[str, tuple[str, ...]]] = {
    "400": ("Invalid JSON body", "Unsupported X-Key-Case value", "Idempotency-Key must be at most 256 characters",
            "Idempotency-Key is invalid"),
    "401": ("Missing API key credentials. Use Authorization: ApiKey <client_id>:<client_secret>",
            "Invalid API key credentials", "Missing HMAC header", "Invalid HMAC signature"),
    "403": ("ip whitelist required", "ip not allowed", "account inactive", "mode not allowed on this host",
            "API key lacks permission: payment:read"),
    "409": ("A request with this Idempotency-Key is still being processed",),
    "413": ("Request body too large",),
    "415": ("Unsupported Content-Type. Use application/json",),
    "422": ("Idempotency-Key was used with another body",),
    "429": ("Too many requests",),
    "500": ("Internal error",),
    "503": ("Service unavailable",),
}  # fmt: skip
_UNSIGNED: Final = ("Unsupported X-Key-Case value",)  # all a call without a body can get wrong in form
_CREDENTIALS: Final = PIPELINE["401"][:2]

_AMOUNT: Final = ("amount must be an integer number of centavos", "amount must be greater than zero",
                  "amount is outside the allowed range")  # fmt: skip
_AWAY: Final = ("Provider unavailable, try again",)
_UNKNOWN: Final = ("Transaction not found",)
_NO_HOOK: Final = ("Webhook not found",)
_NO_DELIVERY: Final = ("Webhook not found", "Delivery not found")
_DONE: Final = ("Transaction has already been processed",)
_EVENTS: Final = ("events must be an array", "events must not be empty",
                  "events: contains invalid events: pix.payout.created")  # fmt: skip
_URL: Final = ("URL must use HTTPS", "URL is invalid", "URL host is not allowed")
_LONG: Final = ("description must be at most 140 characters",)
_ELSEWHERE: Final = ("This account is not at the sandbox bank",)
_PAGED: Final = ("page is invalid", "per_page is invalid", "status is invalid")
DETAILS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("createWebhook", "400"): ("The url field is required",),
    ("createWebhook", "422"): (
        *_URL, *_EVENTS, "allow_insecure must be a boolean", "secret must be 16 to 128 printable characters",
        "description must be at most 255 characters", "Webhook limit reached (5)",
    ),
    **{(name, "404"): _NO_HOOK for name in (
        "deleteWebhook", "readWebhook", "changeWebhook", "rotateWebhookSecret", "testWebhook", "listDeliveries")},
    **{(name, "404"): _NO_DELIVERY for name in ("readDelivery", "redeliver")},
    ("changeWebhook", "422"): (
        *_URL, *_EVENTS, "retry_schedule is invalid", "timeout_seconds is invalid", "is_active must be a boolean",
    ),
    ("rotateWebhookSecret", "422"): ("grace_seconds is invalid", "secret must be 16 to 128 printable characters"),
    ("testWebhook", "422"): ("Webhook is not active", "message must be at most 140 characters"),
    ("listDeliveries", "422"): _PAGED,
    ("redeliver", "422"): ("Webhook is not active", "Delivery is still in progress"),
    ("createCharge", "400"): ("The amount field is required",),
    ("createCharge", "422"): (
        *_AMOUNT, *_LONG, "external_id is invalid", "pix_key does not belong to this account", "No active PIX key",
        "city is invalid", "expires_in must be between 60 and 2592000", "Transaction limit exceeded",
        "The provider refused the charge",
    ),
    ("createCharge", "503"): _AWAY,
    ("cancelCharge", "404"): _UNKNOWN,
    ("cancelCharge", "422"): _DONE,
    ("cancelCharge", "503"): _AWAY,
    ("createPayout", "400"): (
        "The amount field is required", "The pix_key field is required", "Invalid PIX key",
    ),
    ("createPayout", "422"): (
        *_AMOUNT, "Send either pix_key or emv_code", "pix_key_type is invalid", "Invalid PIX code",
        "amount does not match the PIX code", "PIX code has expired or was already paid", "end_to_end_id is invalid",
        "external_id is invalid", "Insufficient balance", "Transaction limit exceeded", "Daily limit exceeded",
        "Night limit exceeded", "Payouts are disabled",
    ),
    ("createPayout", "503"): ("PIX code could not be read, try again",),
    ("approvePayout", "400"): ("The transaction_id field is required",),
    ("approvePayout", "404"): _UNKNOWN,
    ("approvePayout", "422"): (*_DONE, "The creator of a payout cannot approve it", "decision is invalid"),
    ("createRefund", "400"): (
        "The original_transaction_id field is required", "The reason field is required",
    ),
    ("createRefund", "404"): ("Original transaction not found",),
    ("createRefund", "422"): (
        *_AMOUNT, "Invalid refund reason", "Transaction is not refundable", "Refund window has expired",
        "Transaction is under dispute", "Refund amount exceeds the original transaction",
        "Insufficient balance for refund",
    ),
    ("listTransactions", "422"): (*_PAGED, "date_from is invalid", "direction is invalid"),
    ("readStatement", "422"): (*_PAGED, "date_from is invalid"),
    ("readTransaction", "404"): _UNKNOWN,
    ("readTransactionByExternalId", "404"): _UNKNOWN,
    ("readTransactionByEndToEndId", "404"): ("Transacao nao encontrada para o E2E ID informado",),
    ("listTransactionsByTag", "422"): ("tag is invalid",),
    ("readProof", "404"): _UNKNOWN,
    ("readProof", "422"): ("Receipt is available only for completed transactions",),
    ("validateCpf", "400"): ("The cpf field is required",),
    ("readMed", "404"): ("MED not found",),
    ("defendMed", "400"): ("The defense_text field is required",),
    ("defendMed", "404"): ("MED not found",),
    ("defendMed", "422"): (
        "evidence must have at most 10 items", "evidence items need url or description",
        "Defense deadline has passed", "MED is already closed", "Defense was already submitted",
    ),
    **{(name, "404"): _UNKNOWN for name in (
        "sandboxPayCharge", "sandboxExpireCharge", "sandboxSettlePayout", "sandboxReturnPayout", "sandboxSettleRefund",
        "sandboxOpenMed")},
    ("sandboxPayCharge", "422"): (*_AMOUNT, "count is invalid", "notify is invalid", "payer_document is invalid"),
    ("sandboxExpireCharge", "422"): _DONE,
    ("sandboxReceive", "400"): ("The pix_key field is required", "The amount field is required"),
    ("sandboxReceive", "422"): ("pix_key does not belong to this account",),
    ("sandboxSettlePayout", "422"): (*_DONE, "Transaction has not reached the bank", "code is invalid"),
    ("sandboxReturnPayout", "422"): ("Transaction has not reached the bank", "The sandbox bank refused this"),
    ("sandboxSettleRefund", "422"): _DONE,
    ("sandboxOpenMed", "400"): ("The end_to_end_id field is required",),
    ("sandboxOpenMed", "422"): ("reason is invalid", "The sandbox bank refused this"),
    ("sandboxOpenMed", "503"): ("The sandbox bank has not said what came of it, try again",),
    ("sandboxResolveMed", "400"): ("The result field is required",),
    ("sandboxResolveMed", "404"): ("MED not found",),
    ("sandboxResolveMed", "422"): ("MED is already closed", "result is invalid"),
    ("sandboxResolveMed", "503"): ("The sandbox bank has not said what came of it, try again",),
    ("sandboxFund", "400"): ("The amount field is required",),
    ("sandboxFund", "422"): _AMOUNT,
    ("sandboxScriptFault", "400"): ("The operation field is required", "The fault field is required"),
    ("sandboxScriptFault", "422"): ("fault is invalid", "match is invalid"),
}  # fmt: skip


def give_examples(document: Mapping[str, Any]) -> None:
    """Put an example into every answer of a document. What the pipeline says to all is written down once."""
    document["components"]["examples"] = {
        _slug(text): {"value": {"error": {"status": int(status), "message": text}}}
        for status, texts in (*PIPELINE.items(), ("404", (NOT_FOUND,)))
        for text in texts
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                content = response["content"]["application/json"]
                content["examples"] = dict(_examples(operation, status))


def _examples(operation: Mapping[str, Any], status: str) -> Iterator[tuple[str, Any]]:
    name = operation["operationId"]
    if status in ("200", "201"):
        yield "good", {"value": {**WORKED, **GOOD[name]}}
        return
    details = DETAILS.get((name, status), ())
    if name.startswith("sandbox") and status == "422":
        details = (*details, *_ELSEWHERE)
    for text in details:
        yield text, {"value": {"worked": False, "detail": text}}
    posted = "409" in operation["responses"]
    live = (NOT_FOUND,) if name.startswith("sandbox") and status == "404" else ()
    for text in live or _said(status, posted=posted):
        yield text, {"$ref": f"#/components/examples/{_slug(text)}"}


def _slug(text: str) -> str:
    """Return a text as the name of a component: `invalid-json-body`."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _said(status: str, *, posted: bool) -> tuple[str, ...]:
    """Return what the pipeline says with a status; a call that is not posted has no signature and no key."""
    if posted or status not in ("400", "401", "422"):
        return PIPELINE.get(status, ())
    return {"400": _UNSIGNED, "401": _CREDENTIALS, "422": ()}[status]
