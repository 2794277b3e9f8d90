"""Everything a stranger can send that is wrong, in one list.

Each gets the answer its document names, with a message a person can act on; nothing is ever a 500, and what is
refused leaves no trace in ledger, payments, charges, endpoints, events or idempotency keys.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.contract.api.client import Response
from tests.contract.api.house import CASH_IN, HOOK, INTENT, PAYMENT, House

pytestmark = pytest.mark.anyio

MIB: Final = 1024 * 1024
OTHERS_PAYMENT: Final = "{others_payment}"
OTHERS_TRANSACTION: Final = "{others_transaction}"
OTHERS_ENDPOINT: Final = "{others_endpoint}"


@dataclass(frozen=True)
class Bad:
    """A request, and the status and words it is answered with: codes in /api/v1, sentences in /api/external."""

    name: str
    api: str
    method: str
    target: str
    status: int
    says: tuple[str, ...]
    body: bytes = b""
    headers: dict[str, Any] = field(default_factory=dict)
    key: str | None = ""


def payment(name: str, *says: str, status: int = 422, **fields: Any) -> Bad:
    """POST /payments with some fields wrong."""
    return sent("POST", "/payments", name, {**PAYMENT, **fields}, status, *says)


def intent(name: str, *says: str, status: int = 400, **fields: Any) -> Bad:
    """POST /payment-intents with some fields wrong."""
    return sent("POST", "/payment-intents", name, {**INTENT, **fields}, status, *says)


def sent(method: str, target: str, name: str, fields: object, status: int, *says: str, **more: Any) -> Bad:
    return Bad(name, "merchant", method, target, status, says, json.dumps(fields).encode(), **more)


def raw(name: str, body: bytes, target: str = "/payments", status: int = 400, says: str = "INVALID_JSON") -> Bad:
    return Bad(name, "merchant", "POST", target, status, (says,), body)


def got(target: str, name: str, status: int, *says: str, **more: Any) -> Bad:
    return Bad(name, "merchant", "GET", target, status, says, **more)


def hook(name: str, detail: str, status: int = 422, **fields: Any) -> Bad:
    """POST /webhooks with some fields wrong."""
    return Bad(name, "pix", "POST", "/webhooks", status, (detail,), json.dumps({**HOOK, **fields}).encode())


def charge(name: str, detail: str, status: int = 422, **fields: Any) -> Bad:
    """POST /pix/cash-in with some fields wrong."""
    return Bad(name, "pix", "POST", "/pix/cash-in", status, (detail,), json.dumps({**CASH_IN, **fields}).encode())


def piped(name: str, message: str, status: int, body: bytes = b"{}", method: str = "POST", **headers: Any) -> Bad:
    """A request that the pipeline of the PIX API stops."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Bad(name, "pix", method, "/webhooks", status, (message,), body, named)


MALFORMED: Final = {
    "half a JSON text": b'{"amount": 1',
    "two JSON texts": b'{"amount": 1}{}',
    "single quotes": b"{'amount': 1}",
    "a list of fields": b'[{"amount": 1}]',
    "a text": b'"amount"',
    "a number": b"1",
    "true": b"true",
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": -Infinity}',
    "invalid UTF-8": b'{"reference": "\xff\xfe"}',
    "UTF-16": '{"amount": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"amount": 1}',
    "a control character": b'{"reference": "a\x00b"}',
    "an escaped U+0000": b'{"reference": "a\\u0000b"}',
    "half a surrogate pair": b'{"reference": "\\ud83d"}',
    "half a surrogate pair in a name": b'{"\\udc00": 1}',
    "a form": b"amount=1&currency=BRL",
    "fifty thousand brackets": b"[" * 50_000,
    "brackets that close": b'{"metadata": ' + b"[" * 500 + b"]" * 500 + b"}",
}
AMOUNTS: Final = {
    "negative": "-1",
    "zero": "0",
    "zero with decimals": "0.00",
    "exponent notation": "1e3",
    "three decimals of a real": "1.234",
    "10^30": "1" + "0" * 30,
    "thousands separator": "1,000",
    "decimal comma": "1,50",
    "hexadecimal": "0x10",
    "a sign": "+1",
    "a bare point": ".5",
    "other digits": "١٢٣",
    "words": "ten",
    "a list": [1],
    "an object": {"value": 1},
    "a boolean": True,
    "blank": " ",
}
NUMBERS: Final = {
    "a negative number": b"-1",
    "zero as a number": b"0",
    "an exponent as a number": b"1e3",
    "a tiny exponent": b"1e-400",
    "a huge exponent": b"1e400",
    "thirty digits": b"1" + b"0" * 30,
    "five thousand digits": b"9" * 5000,
    "too many decimals": b"0.001",
}
URLS: Final = {
    "javascript:": "javascript:alert(1)",
    "data:": "data:text/html,x",
    "file:": "file:///etc/passwd",
    "no scheme": "shop.example/return",
    "relative": "/return",
    "no host": "https:///return",
    "a blank inside": "https://shop.example/a b",
    "a line break": "https://shop.example/\nreturn",
    "too long": "https://shop.example/" + "a" * 2048,
    "an odd port": "https://shop.example:99999/",
    "broken brackets": "https://[::1/",
    "a list": ["https://shop.example"],
}
PRIVATE: Final = {
    "loopback": "https://127.0.0.1/hook",
    "short loopback": "https://[::1]/hook",
    "a private network": "https://10.0.0.7/hook",
    "link-local": "https://169.254.169.254/latest/meta-data",
    "mapped": "https://[::ffff:192.168.0.1]/hook",
}

LIST: Final = [
    # /api/v1: the body
    *[raw(f"payment from {name}", body) for name, body in MALFORMED.items()],
    raw("intent from half a JSON text", b'{"amount":', "/payment-intents"),
    raw("a body of 1 MiB and a byte", b" " * (MIB + 1), status=413, says="PAYLOAD_TOO_LARGE"),
    # /api/v1: amounts
    *[payment(f"amount: {name}", "INVALID_AMOUNT", amount=amount) for name, amount in AMOUNTS.items()],
    *[intent(f"intent amount: {name}", "amount", amount=amount) for name, amount in AMOUNTS.items()],
    *[
        raw(f"amount: {name}", b'{"currency":"BRL","amount":' + number + b"}", status=422, says="INVALID_AMOUNT")
        for name, number in NUMBERS.items()
    ],
    payment("decimals of a currency that has none", "INVALID_AMOUNT", amount="1500.50", currency="JPY"),
    payment("no amount", "INVALID_AMOUNT", amount=None),
    # /api/v1: other fields
    *[
        payment(f"currency: {currency!r}", "INVALID_CURRENCY", currency=currency)
        for currency in ("XXX", "R$", "BR", "BRLL", "", None, 986, True, ["BRL"], {}, "ＢＲＬ")
    ],
    *[payment(f"redirect_url: {name}", "INVALID_REDIRECT_URL", redirect_url=url) for name, url in URLS.items()],
    *[payment(f"cancel_url: {name}", "INVALID_CANCEL_URL", cancel_url=url) for name, url in URLS.items()],
    *[payment(f"callback_url: {name}", "INVALID_CALLBACK_URL", callback_url=url) for name, url in URLS.items()],
    *[intent(f"return_url: {name}", "return_url", return_url=url) for name, url in URLS.items()],
    payment("a reference of 256 characters", "VALIDATION_FAILED", reference="a" * 256),
    payment("a reference that is an object", "VALIDATION_FAILED", reference={"a": 1}),
    payment("a description that is a list", "VALIDATION_FAILED", description=["a"]),
    payment("a description with a control character", "VALIDATION_FAILED", description="a\x07b"),
    payment("metadata that is a text", "VALIDATION_FAILED", metadata="a"),
    payment("metadata beyond 16 KiB", "VALIDATION_FAILED", metadata={"a": "x" * 16 * 1024}),
    raw(
        "metadata with a number no reader holds",
        b'{"amount":1,"currency":"BRL","metadata":{"n":1e999}}',
        status=422,
        says="VALIDATION_FAILED",
    ),
    raw(
        "metadata with a number of thousands of digits",
        b'{"amount":1,"currency":"BRL","metadata":{"n":' + b"7" * 6000 + b"}}",
        status=422,
        says="VALIDATION_FAILED",
    ),
    *[
        payment(f"expires_in: {seconds!r}", "VALIDATION_FAILED", expires_in=seconds)
        for seconds in (59, 2592001, -1, 1.5, "soon", True, [60], 10**30)
    ],
    sent("POST", "/payments", "everything missing", {}, 422, "INVALID_AMOUNT", "INVALID_CURRENCY"),
    sent(
        "POST",
        "/payment-intents",
        "everything missing of an intent",
        {},
        400,
        *("gateway", "amount", "currency", "order_id", "customer_name", "customer_email", "return_url"),
    ),
    *[intent(f"no {name}", name, **{name: None}) for name in INTENT],
    *[intent(f"empty {name}", name, **{name: " "}) for name in INTENT],
    intent("an e-mail address without an @", "customer_email", customer_email="jane"),
    intent("a name that is an object", "customer_name", customer_name={"first": "Jane"}),
    intent("a gateway of 61 characters", "gateway", gateway="g" * 61),
    intent("an unknown gateway", "GATEWAY_NOT_FOUND", status=404, gateway="no-such-gateway"),
    # /api/v1: keys
    got("/transactions", "no key", 401, "MISSING_TOKEN", key=None),
    got("/transactions", "an empty key", 401, "MISSING_TOKEN", headers={"authorization": "Bearer "}),
    got("/transactions", "another scheme", 401, "INVALID_TOKEN", headers={"authorization": "Basic b3A6eA=="}),
    got("/transactions", "a malformed key", 401, "INVALID_TOKEN", key="op_short"),
    got("/transactions", "a key with a NUL", 401, "INVALID_TOKEN", key="op_\x00"),
    got("/transactions", "a key nobody has", 401, "INVALID_TOKEN", key="op_00000000." + "0" * 48),
    got("/transactions", "a wrong key of a known prefix", 401, "INVALID_TOKEN", key="{prefix}." + "0" * 48),
    sent("POST", "/payments", "a payment without a key", PAYMENT, 401, "MISSING_TOKEN", key=None),
    # /api/v1: addresses and methods
    got("/nothing-here", "an unknown address", 404, "NOT_FOUND"),
    got("", "the root", 404, "NOT_FOUND"),
    got("/payments/a/b", "a deeper address", 404, "NOT_FOUND"),
    got("/payments/a%00b".replace("%00", "\0"), "U+0000 in an address", 404, "NOT_FOUND"),
    got("/payment-intents-and-more", "an unknown address of the seed family", 404, "NOT_FOUND"),
    Bad("another method", "merchant", "DELETE", "/payments", 405, ("METHOD_NOT_ALLOWED",)),
    Bad("a made-up method", "merchant", "BREW", "/payments", 405, ("METHOD_NOT_ALLOWED",)),
    # /api/v1: what belongs to others, and ids that are none
    got(f"/payments/{OTHERS_PAYMENT}", "another merchant's payment", 404, "PAYMENT_NOT_FOUND"),
    got(f"/payment-intents/{OTHERS_PAYMENT}", "another merchant's intent", 404, "PAYMENT_NOT_FOUND"),
    got(f"/transactions/{OTHERS_TRANSACTION}", "another merchant's transaction", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/1", "another merchant's number", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/" + "9" * 40, "a number nobody has", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/" + "x" * 5000, "an endless name", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/'; drop table payment; --", "SQL in an address", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/\ufffd\u202e", "odd characters in an address", 404, "TRANSACTION_NOT_FOUND"),
    got("/transactions/ ", "a blank name", 422, "TRANSACTION_ID_REQUIRED"),
    got("/payments/ ", "a blank id", 422, "PAYMENT_ID_REQUIRED"),
    got("/payments/nonsense", "an id that is none", 422, "INVALID_PAYMENT_ID"),
    got("/payment-intents/nonsense", "an intent's id that is none", 400, "payment_id"),
    # /api/v1: queries
    *[
        got(f"/transactions?from={date}", f"a date such as {date!r}", 422, "INVALID_DATE")
        for date in ("yesterday", "2026-02-30", "2026-3-7", "0000-00-00", "2026-03-07T25:00:00Z", "2026-03-07T10:00:00")
    ],
    got("/transactions?cursor=%21%21", "a cursor that is none", 422, "VALIDATION_FAILED"),
    got("/transactions?cursor=LTE", "a cursor to a negative row", 422, "VALIDATION_FAILED"),
    # /api/v1: idempotency keys
    *[
        sent("POST", "/payments", name, PAYMENT, 400, "INVALID_IDEMPOTENCY_KEY", headers={"idempotency-key": key})
        for name, key in (("an empty key", " "), ("a key of 256 characters", "k" * 256), ("a key with an ü", "ü"))
    ],
    # /api/external: the pipeline
    *[piped(f"endpoint from {name}", "Invalid JSON body", 400, body) for name, body in MALFORMED.items()],
    piped("repeated names", "Invalid JSON body", 400, b'{"url":"https://a.example","url":"https://b.example"}'),
    piped("33 levels", "Invalid JSON body", 400, b'{"a":' * 33 + b"1" + b"}" * 33),
    piped("null", "Invalid JSON body", 400, b"null"),
    piped("a body of 256 KiB and a byte", "Request body too large", 413, b" " * (256 * 1024 + 1)),
    piped("another content type", UNSUPPORTED := "Unsupported Content-Type. Use application/json", 415,
          content_type="text/plain"),
    piped("no content type", UNSUPPORTED, 415, content_type=None),
    piped("a file", UNSUPPORTED, 415, content_type="multipart/form-data; boundary=x"),
    piped("another charset", UNSUPPORTED, 415, content_type="application/json; charset=latin-1"),
    piped("another key case", "Unsupported X-Key-Case value", 400, x_key_case="PascalCase"),
    piped("no hmac", "Missing HMAC header", 401, hmac=None),
    piped("a wrong hmac", "Invalid HMAC signature", 401, hmac="0" * 128),
    piped("an hmac that is no hex", "Invalid HMAC signature", 401, hmac="zz"),
    piped("no credential", "Missing API key credentials. Use Authorization: ApiKey <client_id>:<client_secret>", 401,
          authorization=None),
    piped("a wrong credential", "Invalid API key credentials", 401, authorization="ApiKey cli_000000000000:sk_x"),
    piped("a credential with U+0000", "Invalid API key credentials", 401, authorization="ApiKey cli\x00:sk_x"),
    piped("a credential of odd bytes", "Invalid API key credentials", 401, authorization="ApiKey ü:ü"),
    piped("a key of 257 characters", "Idempotency-Key must be at most 256 characters", 400, idempotency_key="k" * 257),
    piped("an empty key", "Idempotency-Key is invalid", 400, idempotency_key=""),
    piped("a key with an ü", "Idempotency-Key is invalid", 400, idempotency_key="ü"),
    piped("another method", "Method not allowed", 405, method="PUT"),
    Bad("an unknown address", "pix", "POST", "/nothing", 404, ("Not found",)),
    Bad("a deeper address", "pix", "DELETE", "/webhooks/a/b", 404, ("Not found",)),
    Bad("U+0000 in an address", "pix", "DELETE", "/webhooks/\0", 404, ("Not found",)),
    # /api/external: endpoints
    Bad("another merchant's endpoint", "pix", "DELETE", f"/webhooks/{OTHERS_ENDPOINT}", 404, ("Webhook not found",)),
    Bad("an endpoint nobody has", "pix", "DELETE", "/webhooks/wh_000000000000", 404, ("Webhook not found",)),
    Bad("an endless name", "pix", "DELETE", "/webhooks/" + "x" * 5000, 404, ("Webhook not found",)),
    Bad("an empty body", "pix", "POST", "/webhooks", 400, ("The url field is required",)),
    *[hook(f"url: {url!r}", "The url field is required", 400, url=url) for url in (None, "")],
    *[hook(f"url: {url!r}", "url must be a string", url=url) for url in (1, True, ["https://a.example"], {})],
    *[hook(f"url: {name}", "URL is invalid", url=url) for name, url in URLS.items() if isinstance(url, str)],
    hook("url with user info", "URL is invalid", url="https://me@shop.example/"),
    hook("url with a fragment", "URL is invalid", url="https://shop.example/#a"),
    hook("url with a port below 1024", "URL is invalid", url="https://shop.example:22/"),
    hook("url without TLS", "URL must use HTTPS", url="http://shop.example/hook"),
    *[hook(f"url: {name}", "URL host is not allowed", url=url) for name, url in PRIVATE.items()],
    *[
        hook(f"url: {name} without TLS", "URL host is not allowed", url=f"http{url[5:]}", allow_insecure=True)
        for name, url in PRIVATE.items()
    ],
    *[hook(f"events: {events!r}", "events must be an array", events=events) for events in ("pix.charge.paid", 1, {})],
    hook("no events", "events must not be empty", events=[]),
    hook("unknown events", "events: contains invalid events: a, b", events=["a", "pix.charge.paid", "b"]),
    hook("every event", "events: contains invalid events: *", events=["*"]),
    hook("events of odd types", "events: contains invalid events: 1, None, []", events=[1, None, []]),
    *[
        hook(f"allow_insecure: {flag!r}", "allow_insecure must be a boolean", allow_insecure=flag)
        for flag in ("true", 1, 0, [])
    ],
    *[
        hook(f"secret: {name}", "secret must be 16 to 128 printable characters", secret=secret)
        for name, secret in (("short", "a" * 15), ("long", "a" * 129), ("odd", "ç" * 16), ("breaks", "a\n" * 10))
    ],
    hook("a secret that is a number", "secret must be a string", secret=1234567890123456),
    hook("a long description", "description must be at most 255 characters", description="a" * 256),
    hook("a description that is a list", "description must be a string", description=[]),
    # /api/external: charges
    Bad("no fields", "pix", "POST", "/pix/cash-in", 400, ("The amount field is required",), b"{}"),
    charge("no amount", "The amount field is required", 400, amount=None),
    *[
        charge(f"amount: {amount!r}", "amount must be an integer number of centavos", amount=amount)
        for amount in (30.0, "3000", True, [3000], {}, "", 1.5)
    ],
    *[
        Bad(f"amount: {text}", "pix", "POST", "/pix/cash-in", 422, (f"amount {says}",), f'{{"amount":{text}}}'.encode())
        for text, says in (
            ("3e3", "must be an integer number of centavos"),
            ("1E+2", "must be an integer number of centavos"),
            ("-0", "must be greater than zero"),
            ("1" + "0" * 30, "is outside the allowed range"),
            ("9" * 5000, "is outside the allowed range"),
            ("-" + "9" * 5000, "must be greater than zero"),
        )
    ],
    *[charge(f"amount: {amount}", "amount must be greater than zero", amount=amount) for amount in (0, -1)],
    charge("amount: a centavo too many", "amount is outside the allowed range", amount=1_000_000_000_000),
    charge("a long description", "description must be at most 140 characters", description="a" * 141),
    charge("a description that is a number", "description must be a string", description=1),
    *[
        charge(f"external_id: {name!r}", "external_id is invalid", external_id=name)
        for name in ("", " ", "a b", "a/b", "ç", "a" * 129)
    ],
    charge("an external_id that is a number", "external_id must be a string", external_id=7),
    charge("a key of somebody else", "pix_key does not belong to this account",
           pix_key="123e4567-e12b-12d1-a456-426655440001"),
    charge("a key that is none", "pix_key does not belong to this account", pix_key="nobody"),
    charge("a key that is a list", "pix_key must be a string", pix_key=[]),
    charge("a city that is a number", "city must be a string", city=1),
    *[
        charge(f"expires_in: {seconds!r}", "expires_in must be between 60 and 2592000", expires_in=seconds)
        for seconds in (59, 2592001, -60, 61.5, "60", True, 10**40)
    ],
]  # fmt: skip


async def test_bad_input_gets_its_answer_and_leaves_no_trace(house: House) -> None:
    """The whole list, against one house: what is refused changes nothing, so no case can disturb another."""
    others = await others_things(house)
    before = await house.rows()

    wrong = {}
    for bad in LIST:
        house.clock.advance(60_000_000)  # limits are full again
        answer = await send(house, bad, others)
        problem = shape_problem(answer, bad) or (await house.rows() != before and "it left a trace")
        if problem:
            wrong[f"{bad.api}: {bad.name}"] = f"{problem}: {answer.status} {answer.body.decode()[:300]}"

    assert wrong == {}
    assert len({(bad.api, bad.target, bad.name) for bad in LIST}) == len(LIST)


@pytest.mark.parametrize(
    ("status", "says"),
    [("revoked", "This API key is revoked."), ("locked", "Invalid or missing API key."), ("active", "expired")],
)
async def test_a_key_that_has_ended_is_refused_at_once(house: House, status: str, says: str) -> None:
    assert (await house.merchant("POST", "/payments", PAYMENT)).status == 201
    before = await house.rows()
    expires_at = house.clock.now() if status == "active" else None
    await house.run("update api_key set status = :status, expires_at = :at", status=status, at=expires_at)
    house.next_second()

    answer = await house.merchant("POST", "/payments", PAYMENT)

    assert (answer.status, answer.json()["code"]) == (401, "INVALID_TOKEN")
    assert says in answer.json()["message"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert await house.rows() == before


@pytest.mark.parametrize(
    ("change", "method", "code"),
    [
        ("update api_key set scopes = '[\"read\"]'", "POST", "INSUFFICIENT_SCOPE"),
        ("update api_key set scopes = '[\"write\"]'", "GET", "INSUFFICIENT_SCOPE"),
        ("update api_key set scopes = '[\"admin\"]'", "HEAD", "INSUFFICIENT_SCOPE"),
        ("update api_key set allowed_ips = '[\"198.51.100.0/24\"]'", "POST", "IP_NOT_ALLOWED"),
        ("update merchant set status = 'suspended'", "POST", "MERCHANT_INACTIVE"),
        ("update merchant set status = 'closed'", "GET", "MERCHANT_INACTIVE"),
    ],
)
async def test_a_key_that_may_not_is_told_so(house: House, change: str, method: str, code: str) -> None:
    await house.run(change)
    before = await house.rows()

    target = "/payments" if method == "POST" else "/transactions"
    answer = await house.merchant(method, target, PAYMENT if method == "POST" else None)

    assert answer.status == 403
    assert method == "HEAD" or answer.json()["code"] == code
    assert await house.rows() == before


async def test_unknown_fields_are_ignored_and_a_repeated_order_is_a_new_payment(house: House) -> None:
    strange = {**INTENT, "colour": "blue", "amount_cents": 1, "__proto__": {"admin": True}}

    answers = [await house.merchant("POST", "/payment-intents", strange) for _ in range(2)]
    hooked = await house.pix("POST", "/webhooks", {**HOOK, "colour": "blue"})
    charged = await house.pix("POST", "/pix/cash-in", {**CASH_IN, "colour": "blue"})

    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json()["transaction_id"] != answers[1].json()["transaction_id"]
    assert (hooked.status, charged.status) == (201, 200)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[]", b"  \n"])
async def test_every_way_of_sending_no_fields_is_the_same(house: House, body: bytes) -> None:
    answer = await house.merchant("POST", "/payments", body=body)

    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_ERROR")


async def test_a_key_used_for_another_request_is_a_conflict_before_fields_are_judged(house: House) -> None:
    headers = {"idempotency-key": "k-1"}
    await house.merchant("POST", "/payments", PAYMENT, headers=headers)
    before = await house.rows()

    other = await house.merchant("POST", "/payments", {**PAYMENT, "amount": "1"}, headers=headers)
    wrong = await house.merchant("POST", "/payments", {**PAYMENT, "amount": "-1"}, headers=headers)
    as_number = await house.merchant("POST", "/payments", {**PAYMENT, "amount": 99.90}, headers=headers)
    elsewhere = await house.merchant("POST", "/payment-intents", INTENT, headers=headers)

    for answer in (other, wrong, as_number, elsewhere):
        assert (answer.status, answer.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert await house.rows() == before


async def test_identical_requests_at_once_under_one_key_are_one_payment(house: House) -> None:
    answers = await asyncio.gather(
        *[house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "k-1"}) for _ in range(30)]
    )

    created = {answer.body for answer in answers if answer.status == 201}
    assert len(created) == 1
    assert {answer.status for answer in answers} <= {201, 409}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers if answer.status == 201) == 1
    assert (await house.rows())["payment"] == (await house.rows())["event"] == 1


async def test_identical_charges_at_once_under_one_key_are_one_charge(house: House) -> None:
    answers = await asyncio.gather(
        *[house.pix("POST", "/pix/cash-in", CASH_IN, headers={"idempotency-key": "k-1"}) for _ in range(20)]
    )

    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert {answer.status for answer in answers} <= {200, 409}
    rows = await house.rows()
    assert (rows["pix_charge"], rows["payment"], rows["event"]) == (1, 1, 1)
    assert len(house.bank.charges) == 1


async def test_identical_requests_at_once_without_a_key_are_two_payments(house: House) -> None:
    answers = await asyncio.gather(*[house.merchant("POST", "/payments", PAYMENT) for _ in range(2)])

    assert [answer.status for answer in answers] == [201, 201]
    assert (await house.rows())["payment"] == 2


async def test_a_body_in_many_parts_is_read_whole_or_refused(house: House) -> None:
    whole = json.dumps(PAYMENT).encode()

    in_parts = await house.merchant("POST", "/payments", body=[whole[:10], b"", whole[10:]])
    too_large = await house.merchant("POST", "/payments", body=[b" " * MIB, b" "])

    assert in_parts.status == 201
    assert (too_large.status, too_large.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "x-ratelimit-remaining" in too_large.headers


async def others_things(house: House) -> dict[str, str]:
    """Have the other shop create what a stranger might ask for."""
    made = (await house.merchant("POST", "/payments", PAYMENT, key=house.other.key)).json()["data"]
    hooked = (await house.pix("POST", "/webhooks", HOOK, shop=house.other)).json()
    return {
        OTHERS_PAYMENT: made["payment_id"],
        OTHERS_TRANSACTION: made["trx_id"],
        OTHERS_ENDPOINT: hooked["id"],
        "{prefix}": house.shop.key.partition(".")[0],
    }


async def send(house: House, bad: Bad, others: dict[str, str]) -> Response:
    def filled(text: str) -> str:
        for name, value in others.items():
            text = text.replace(name, value)
        return text

    if bad.api == "merchant":
        headers = {"idempotency-key": "bad-input", **bad.headers}
        key = filled(bad.key) if bad.key else bad.key
        return await house.merchant(bad.method, filled(bad.target), key=key, body=bad.body, headers=headers)
    headers = {"idempotency-key": "bad-input", **bad.headers}
    return await house.pix(bad.method, filled(bad.target), body=bad.body, headers=headers)


def shape_problem(answer: Response, bad: Bad) -> str | None:
    """Say what is wrong with an answer, if anything is."""
    if answer.status != bad.status:
        return f"the status is not {bad.status}"
    if answer.headers["content-type"] != "application/json":
        return "it is not JSON"
    return merchant_problem(answer, bad) if bad.api == "merchant" else pix_problem(answer, bad)


def merchant_problem(answer: Response, bad: Bad) -> str | None:
    """Check the shape of merchant-api.md §3.2."""
    body = answer.json()
    validation = body["code"] == "VALIDATION_ERROR"
    common = {
        "it lacks a rate limit header": {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
        <= set(answer.headers),
        "success is not false": body["success"] is False,
        "error is not true": body["error"] is True,
        "the request id differs": body["request_id"] == answer.headers["x-request-id"],
        "the message is no sentence": len(body["message"]) > 10,
    }
    if bad.target.startswith("/payment-intents"):
        named = set(body["errors"]) if validation else {body["code"]}
        shape = {"errors is not a map of validation": ("errors" in body) == validation}
    else:
        named = {entry["code"] for entry in body["errors"]}
        shape = {
            "an entry has other keys": all(set(entry) == {"code", "message", "field"} for entry in body["errors"]),
            "the message is not the first entry's": body["message"] == body["errors"][0]["message"],
            "field_errors is not there": ("field_errors" in body) == validation,
        }
    checks = {**common, **shape, f"it does not name {bad.says}": named == set(bad.says)}
    return next((problem for problem, fine in checks.items() if not fine), None)


def pix_problem(answer: Response, bad: Bad) -> str | None:
    """Check the two envelopes of pix-api.md §8.1, which have exactly their keys."""
    stopped = {"error": {"status": bad.status, "message": bad.says[0]}}
    declined = {"worked": False, "detail": bad.says[0]}
    return None if answer.json() in (stopped, declined) else f"it does not say {bad.says[0]!r}"
