"""The PIX API, as the seed page and pix-api.md §2–§12, §17.1 say it."""

import base64
import re
from typing import Any

import pytest

from opentill.pix.port import Ambiguous, NotSent
from opentill.pix.port import Refused as BankRefused
from opentill.webhooks.catalogue import PIX_EVENTS
from tests.contract.api.client import ask
from tests.contract.api.house import CASH_IN, HOOK, House, signature

pytestmark = [pytest.mark.anyio, pytest.mark.bar("C16")]

NO_CREDENTIALS = "Missing API key credentials. Use Authorization: ApiKey <client_id>:<client_secret>"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


# the seed page


@pytest.mark.checklist("X1", "X2")
async def test_an_endpoint_is_registered_as_the_seed_page_says(house: House) -> None:
    made = await house.pix("POST", "/webhooks", HOOK)

    assert made.status == 201
    answer = made.json()
    assert list(answer) == ["worked", "id", "url", "events", "secret", "description", "is_active", "created_at"]
    assert answer["worked"] is answer["is_active"] is True
    assert re.fullmatch("wh_[0-9a-f]{12}", answer["id"])
    assert re.fullmatch("[0-9a-f]{32}", answer["secret"])
    assert TIME.fullmatch(answer["created_at"])
    assert answer["url"] == HOOK["url"]
    assert answer["events"] == HOOK["events"]
    assert answer["description"] is None


@pytest.mark.checklist("X3")
@pytest.mark.parametrize("events", [{}, {"events": None}])
async def test_without_events_an_endpoint_hears_of_the_eleven(house: House, events: dict[str, Any]) -> None:
    made = await house.pix("POST", "/webhooks", {"url": HOOK["url"], **events})

    assert made.json()["events"] == list(PIX_EVENTS)
    assert len(PIX_EVENTS) == 11


@pytest.mark.checklist("X4")
async def test_http_needs_permission(house: House) -> None:
    plain = {"url": "http://yoursite.com/webhook"}

    refused = await house.pix("POST", "/webhooks", plain)
    allowed = await house.pix("POST", "/webhooks", {**plain, "allow_insecure": True})

    assert (refused.status, refused.json()) == (422, {"worked": False, "detail": "URL must use HTTPS"})
    assert allowed.status == 201


@pytest.mark.checklist("X5", "X7")
async def test_a_secret_is_shown_once(house: House) -> None:
    made = await house.pix("POST", "/webhooks", {**HOOK, "secret": "my own secret, 123", "description": "Loja ção"})
    listed = await house.pix("GET", "/webhooks")

    assert made.json()["secret"] == "my own secret, 123"
    assert made.json()["description"] == "Loja ção"
    assert b"my own secret" not in listed.body
    assert listed.json() == {
        "worked": True,
        "webhooks": [
            {
                "id": made.json()["id"],
                "url": HOOK["url"],
                "events": HOOK["events"],
                "status": "active",
                "created_at": made.json()["created_at"],
            }
        ],
    }


@pytest.mark.checklist("X7", "X8")
async def test_an_endpoint_is_removed_once(house: House) -> None:
    made = (await house.pix("POST", "/webhooks", HOOK)).json()
    gone = {"worked": False, "detail": "Webhook not found"}

    foreign = await house.pix("DELETE", f"/webhooks/{made['id']}", shop=house.other)
    removed = await house.pix("DELETE", f"/webhooks/{made['id']}")
    again = await house.pix("DELETE", f"/webhooks/{made['id']}")

    assert (foreign.status, foreign.json()) == (404, gone)
    assert (removed.status, removed.json()) == (200, {"worked": True})
    assert (again.status, again.json()) == (404, gone)
    assert (await house.pix("GET", "/webhooks")).json() == {"worked": True, "webhooks": []}


@pytest.mark.checklist("X51")
async def test_a_sixth_endpoint_waits_for_one_to_be_removed(house: House) -> None:
    made = [await house.pix("POST", "/webhooks", HOOK) for _ in range(5)]
    sixth = await house.pix("POST", "/webhooks", HOOK)
    await house.pix("DELETE", f"/webhooks/{made[0].json()['id']}")

    assert {answer.status for answer in made} == {201}
    assert (sixth.status, sixth.json()["detail"]) == (422, "Webhook limit reached (5)")
    assert (await house.pix("POST", "/webhooks", HOOK)).status == 201


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"])
async def test_an_address_in_a_disguise_is_no_url(house: House, host: str) -> None:
    answer = await house.pix("POST", "/webhooks", {"url": f"https://{host}/hook"})

    assert (answer.status, answer.json()["detail"]) == (422, "URL is invalid")


async def test_a_merchant_may_open_its_own_private_receiver(house: House) -> None:
    await house.run(
        "update merchant set outbound_allow = :allow where id = :id", allow='["127.0.0.1"]', id=house.shop.merchant.id
    )
    private = {"url": "http://127.0.0.1:9000/hook", "allow_insecure": True}

    own = await house.pix("POST", "/webhooks", private)
    others = await house.pix("POST", "/webhooks", private, shop=house.other)

    assert own.status == 201
    assert (others.status, others.json()["detail"]) == (422, "URL host is not allowed")


# cash-in


async def test_a_charge_is_answered_with_its_eight_fields(house: House) -> None:
    made = await house.pix("POST", "/pix/cash-in", CASH_IN)

    assert made.status == 200
    charge = made.json()
    assert list(charge) == [
        "worked",
        "transaction_id",
        "qr_code",
        "qr_code_image",
        "external_id",
        "amount",
        "status",
        "expires_at",
    ]
    assert re.fullmatch("[a-z][a-z0-9]{24}", charge["transaction_id"])
    assert charge["qr_code"].startswith("000201")
    assert charge["qr_code_image"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert charge["external_id"] == "order-9876"
    assert charge["amount"] == 300_000
    assert charge["status"] == "active"
    assert charge["expires_at"] == "2026-03-08T15:30:00Z"


async def test_a_charge_lives_as_long_as_it_is_asked_to(house: House) -> None:
    made = await house.pix("POST", "/pix/cash-in", {"amount": 3000, "expires_in": 60})

    assert made.json()["expires_at"] == "2026-03-07T15:31:00Z"
    assert made.json()["external_id"] is None


async def test_a_repeat_under_one_key_is_the_same_charge(house: House) -> None:
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}
    first = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    again = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    other_body = await house.pix("POST", "/pix/cash-in", {"amount": 5}, headers=headers)

    assert first.body == again.body == other_body.body
    assert "x-idempotent-replay" not in first.headers
    assert again.headers["x-idempotent-replay"] == "true"
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == "k-1"
    assert len(house.bank.asked) == 1
    assert (await house.rows())["pix_charge"] == 1


@pytest.mark.checklist("X22")
async def test_a_repeat_after_an_outage_goes_on_with_the_same_charge(house: House) -> None:
    house.bank.failures = [NotSent("refused")] * 3
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}

    away = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    back = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)

    assert (away.status, away.json()["detail"]) == (503, "Provider unavailable, try again")
    assert away.headers["retry-after"] == "5"
    assert back.status == 200
    assert house.bank.asked == [f"ot{back.json()['transaction_id']}"]
    assert (await house.rows())["pix_charge"] == 1
    assert (await house.rows())["payment"] == 1


async def test_a_repeat_after_the_bank_refused_is_a_new_charge(house: House) -> None:
    house.bank.failures = [BankRefused("invalid", "no")]
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}

    refused = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    again = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)

    assert (refused.status, refused.json()["detail"]) == (422, "The provider refused the charge")
    assert again.status == 200


async def test_a_lost_answer_of_the_bank_is_read_back(house: House) -> None:
    house.bank.failures = [Ambiguous("time-out")]

    made = await house.pix("POST", "/pix/cash-in", CASH_IN)

    assert made.status == 200
    assert len(house.bank.asked) == 1


async def test_a_key_that_is_taken_answers_409_until_its_owner_is_given_up(house: House) -> None:
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}
    await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    await house.run(
        "update idempotency set state = 'running', locked_until_at = :until", until=house.clock.now() + 60_000_000
    )

    taken = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)
    house.clock.advance(60_000_000)
    freed = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)

    text = "A request with this Idempotency-Key is still being processed"
    assert (taken.status, taken.json()) == (409, {"error": {"status": 409, "message": text}})
    assert taken.headers["retry-after"] == "1"
    assert freed.status == 200
    assert (await house.rows())["pix_charge"] == 1


@pytest.mark.checklist("X5")
async def test_a_replayed_registration_shows_its_secret_again(house: House) -> None:
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}
    first = await house.pix("POST", "/webhooks", HOOK, headers=headers)
    again = await house.pix("POST", "/webhooks", HOOK, headers=headers)
    other_path = await house.pix("POST", "/pix/cash-in", CASH_IN, headers=headers)

    assert (first.body, first.status) == (again.body, again.status)
    assert other_path.status == 200
    assert (await house.rows())["webhook_endpoint"] == 1


# the pipeline

VECTOR_KEY = "sk_test_0123456789abcdef"
H1_BODY = '{"url":"https://merchant.example/hook","events":["pix.charge.paid","pix.payout.confirmed"]}'
H4_BODY = (
    '{"amount": 3000, "pix_key": "fulano@example.com", "description": "Devolução café", "external_id": "order-9876"}'
)
VECTORS = {
    "H1": (
        H1_BODY,
        "e3c06d68c703f755554a19129b7305d4eee6a04198b3459dfcc35b9c1d730fcbea92ec0c63cf50aa16ad72a006b9fcee537b07e6ea36efd57b50f7132deac7ff",
    ),
    "H2": (
        H1_BODY,
        "518e06e26943aaea6d6efd590eafe456e62a122c998f785870cc8fbec53699e95c82c4800bf2cf698d10758219f673c74a874d5167eddd4a677768b5df01542e",
    ),
    "H3": (
        '{"url":"https://yoursite.com/webhook","events":["pix.charge.paid","pix.payout.confirmed"]}',
        "08b76781270a5e9b89825bb5a236640c81861420bd060f472c4f369f2033c58bb738935faa9a68e966fa5d93271432f1623de6d0edec60636916efa026792412",
    ),
    "H4": (
        H4_BODY,
        "ee1e8093cdde07c67c8dfbda85f289c04d36e8e4be348a74c92467d665ffa15cf12b656d3ea9d25a7e8373f6c40b543cad895f8a94847e6af71cc737fd79d45e",
    ),
    "H5": (
        H4_BODY,
        "644735cd6ef644b0176673e3cd3856615645055c6f25d77f9feb237f25e26e3729162ecc44a4dc5e92d1e78a2f174fd887aa7f4d0bbba4c93c69bb285be816a8",
    ),
    "H6": (
        '{"pixKey":"12345678909","amount":3000,"pixKeyType":"cpf"}',
        "433d8b0483a3dd279a2e2c325aa45ed8edee2fe01e7fa93bacbfb99f856f480bb90f6e8cb4175919d9e902550811c18e06ff6d0da40d28cf94dd36292f9e6e35",
    ),
    "H7": (
        "",
        "d6d388f683856761462807b22f4de0283bba895cecb9dddf61ce2225cf8b5348266e94bea57d89441d002546b620d9014d26bcfc9e5fb057d129125e0951d369",
    ),
}
H8 = "02b4745212011d4123591b9fc2d8794066b4eaef4e80aa6e28d2cb4eeb534cf6"


@pytest.mark.checklist("X13")
@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("upper", [False, True])
async def test_the_vectors_of_the_hmac_pass(house: House, name: str, upper: bool) -> None:
    body, digest = VECTORS[name]
    await vector_secret(house)
    headers = {
        "authorization": f"ApiKey {house.shop.client_id}:{VECTOR_KEY}",
        "hmac": digest.upper() if upper else digest,
        "content-type": "application/json; charset=UTF-8",
        "x-key-case": "camelCase" if name == "H6" else None,
    }

    answer = await house.pix("POST", "/webhooks", body=body.encode(), headers=headers)

    assert answer.status in (201, 400)
    assert "error" not in answer.json()


@pytest.mark.checklist("X6")
async def test_what_the_seed_page_sends_is_accepted(house: House) -> None:
    body, digest = VECTORS["H3"]
    await vector_secret(house)
    headers = {"authorization": f"ApiKey {house.shop.client_id}:{VECTOR_KEY}", "hmac": digest}

    answer = await house.pix("POST", "/webhooks", body=body.encode(), headers=headers)

    assert (answer.status, answer.json()["events"]) == (201, ["pix.charge.paid", "pix.payout.confirmed"])


@pytest.mark.checklist("X14")
async def test_a_change_is_signed_too(house: House) -> None:
    made = (await house.pix("POST", "/webhooks", HOOK)).json()

    answer = await house.pix("PATCH", f"/webhooks/{made['id']}", {"description": "x"}, headers={"hmac": None})

    assert (answer.status, answer.json()) == (401, pipeline(401, "Missing HMAC header"))


@pytest.mark.checklist("X13")
@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ("{}", H8),
        ("{}", VECTORS["H7"][1]),
        (H1_BODY, VECTORS["H3"][1]),
        (H1_BODY, VECTORS["H1"][1][:-1]),
        (H1_BODY, "ç" * 128),
        (H1_BODY, ""),
        ('{"amount":3000.0}', "canonical"),
        ('{"amount":3e3}', "canonical"),
    ],
)
async def test_every_other_digest_is_refused(house: House, body: str, digest: str) -> None:
    await vector_secret(house)
    if digest == "canonical":
        digest = signature(VECTOR_KEY, body.replace(" ", "").encode() + b" ")
    headers: dict[str, str | None] = {
        "authorization": f"ApiKey {house.shop.client_id}:{VECTOR_KEY}",
        "hmac": digest,
        "content-type": "application/json",
    }

    answer = await house.pix("POST", "/webhooks", body=body.encode(), headers=headers)

    assert (answer.status, answer.json()) == (401, {"error": {"status": 401, "message": "Invalid HMAC signature"}})


@pytest.mark.checklist("X12")
async def test_apikey_and_basic_both_sign_in(house: House) -> None:
    pair = f"{house.shop.client_id}:{house.shop.client_secret}"
    encoded = base64.b64encode(pair.encode()).decode()

    for header in (f"ApiKey {pair}", f"APIKEY {pair}", f"Basic {encoded}", f"basic {encoded}"):
        assert (await house.pix("GET", "/webhooks", headers={"authorization": header})).status == 200


@pytest.mark.checklist("X12")
@pytest.mark.parametrize(
    "header",
    [
        "ApiKey cli_000000000000:sk_test_nothing",
        "ApiKey {client_id}:sk_test_wrong",
        "ApiKey {client_id}",
        "ApiKey ",
        "",
        "Bearer {client_id}:{client_secret}",
        "Basic not-base64",
        "Basic {client_id}:{client_secret}",
    ],
)
async def test_every_wrong_credential_answers_the_same(house: House, header: str) -> None:
    text = header.format(client_id=house.shop.client_id, client_secret=house.shop.client_secret)

    answer = await house.pix("GET", "/webhooks", headers={"authorization": text})

    assert (answer.status, answer.json()) == (401, pipeline(401, "Invalid API key credentials"))
    assert "x-ratelimit-limit" not in answer.headers


async def test_two_credentials_are_none(house: House) -> None:
    header = ("authorization", f"ApiKey {house.shop.client_id}:{house.shop.client_secret}")

    answer = await ask(house.external_api, "GET", "/webhooks", headers=[header, header])

    assert (answer.status, answer.json()) == (401, pipeline(401, "Invalid API key credentials"))


async def test_a_revoked_and_an_expired_credential_stop_at_once(house: House) -> None:
    assert (await house.pix("GET", "/webhooks")).status == 200

    await house.run("update pix_credential set status = 'revoked' where client_id = :id", id=house.shop.client_id)
    await house.run(
        "update pix_credential set expires_at = :now where client_id = :id",
        now=house.clock.now(),
        id=house.other.client_id,
    )
    house.next_second()

    for shop in (house.shop, house.other):
        assert (await house.pix("GET", "/webhooks", shop=shop)).status == 401


async def test_the_sixth_failed_sign_in_of_a_minute_is_429_while_a_good_one_passes(house: House) -> None:
    bad: dict[str, str | None] = {"authorization": None}

    answers = [await house.pix("GET", "/webhooks", headers=bad) for _ in range(6)]
    good = await house.pix("GET", "/webhooks")
    elsewhere = await house.pix("GET", "/webhooks", headers=bad, peer="203.0.113.10")
    house.clock.advance(60_000_000)

    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert answers[0].json() == pipeline(401, NO_CREDENTIALS)
    assert answers[5].json() == pipeline(429, "Too many requests")
    assert 1 <= int(answers[5].headers["retry-after"]) <= 60
    assert good.status == 200
    assert elsewhere.status == 401
    assert (await house.pix("GET", "/webhooks", headers=bad)).status == 401


@pytest.mark.checklist("X15")
async def test_an_allow_list_admits_whom_it_names(house: House) -> None:
    async def listed(entries: str, peer: str = "203.0.113.9") -> tuple[int, object]:
        await house.run("update pix_credential set check_ips = 1, allowed_ips = :entries", entries=entries)
        house.next_second()
        answer = await house.pix("GET", "/webhooks", peer=peer)
        return answer.status, answer.json()

    assert await listed("[]") == (403, pipeline(403, "ip whitelist required"))
    assert await listed('["198.51.100.1"]') == (403, pipeline(403, "ip not allowed"))
    assert (await listed('["198.51.100.1", "203.0.113.0/24"]'))[0] == 200
    assert (await listed('["203.0.113.9"]', "::ffff:203.0.113.9"))[0] == 200
    assert (await listed('["2001:db8::/32"]', "2001:db8::7"))[0] == 200


async def test_an_inactive_merchant_is_told_so(house: House) -> None:
    await house.run("update merchant set status = 'suspended'")

    assert (await house.pix("GET", "/webhooks")).json() == pipeline(403, "account inactive")


async def test_each_operation_names_the_permission_that_is_missing(house: House) -> None:
    await house.run("update pix_credential set permissions = '[]'")
    asked = {
        ("POST", "/webhooks"): "webhook:write",
        ("GET", "/webhooks"): "webhook:read",
        ("DELETE", "/webhooks/wh_000000000000"): "webhook:write",
        ("POST", "/pix/cash-in"): "payment:write",
    }

    for (method, path), permission in asked.items():
        answer = await house.pix(method, path, HOOK if method == "POST" else None)
        assert answer.json() == pipeline(403, f"API key lacks permission: {permission}")


async def test_a_replay_needs_the_permission_still(house: House) -> None:
    headers: dict[str, str | None] = {"idempotency-key": "k-1"}
    await house.pix("POST", "/webhooks", HOOK, headers=headers)
    await house.run("update pix_credential set permissions = '[]'")
    house.next_second()

    answer = await house.pix("POST", "/webhooks", HOOK, headers=headers)

    assert answer.status == 403
    assert b"secret" not in answer.body


@pytest.mark.checklist("X18")
async def test_camel_case_goes_in_and_out(house: House) -> None:
    headers: dict[str, str | None] = {"x-key-case": "camelCase"}

    made = await house.pix(
        "POST", "/webhooks", {"url": "http://yoursite.com/webhook", "allowInsecure": True}, headers=headers
    )
    charge = await house.pix("POST", "/pix/cash-in", {"amount": 1, "externalId": "a_b"}, headers=headers)
    listed = await house.pix("GET", "/webhooks", headers=headers)

    assert {"isActive", "createdAt"} <= set(made.json())
    assert {"transactionId", "qrCode", "qrCodeImage", "expiresAt"} <= set(charge.json())
    assert charge.json()["externalId"] == "a_b"
    assert "createdAt" in listed.json()["webhooks"][0]
    equal = await house.pix("POST", "/webhooks", {"allowInsecure": True, "allow_insecure": True}, headers=headers)
    assert equal.json() == pipeline(400, "Invalid JSON body")


async def test_authenticated_answers_say_what_is_left(house: House) -> None:
    first = await house.pix("GET", "/webhooks")
    second = await house.pix("DELETE", "/webhooks/wh_000000000000")
    unsigned = await house.pix("POST", "/webhooks", HOOK, headers={"hmac": None})

    assert first.headers["x-ratelimit-limit"] == "60000"
    assert [answer.headers["x-ratelimit-remaining"] for answer in (first, second, unsigned)] == [
        "59999",
        "59998",
        "59998",
    ]


ORDER = {
    404: {"path": "/nothing"},
    405: {"method": "PUT"},
    413: {"body": b"x" * (256 * 1024 + 1)},
    415: {"headers": {"content-type": "text/plain"}},
    400: {"headers": {"x-key-case": "kebab-case"}},
    401: {"headers": {"authorization": None}},
}


@pytest.mark.checklist("X10")
@pytest.mark.parametrize("first", ORDER)
async def test_the_first_failing_check_answers(house: House, first: int) -> None:
    """Fail the named check and every later one: the named one answers."""
    request: dict[str, Any] = {"method": "POST", "path": "/webhooks", "body": b"{]", "headers": {}}
    for status in list(ORDER)[list(ORDER).index(first) :]:
        fault = ORDER[status]
        request["headers"] |= fault.get("headers", {})
        request |= {name: value for name, value in fault.items() if name != "headers"}

    answer = await house.pix(
        request["method"], request["path"], body=request["body"], headers=request["headers"], peer="198.51.100.7"
    )

    assert answer.status == first
    assert answer.json()["error"]["status"] == first


@pytest.mark.checklist("X16")
@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        ("", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "198.51.100.1"),
        ("203.0.113.0/24", "198.51.100.1, 198.51.100.2, 203.0.113.77", "198.51.100.2"),
        ("203.0.113.9", "nonsense", "203.0.113.9"),
        ("203.0.113.9", "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
async def test_only_trusted_proxies_say_where_a_call_comes_from(
    house: House, proxies: str, forwarded: str, seen: str
) -> None:
    behind = await house.behind(proxies)
    await house.run("update pix_credential set check_ips = 1, allowed_ips = :entries", entries=f'["{seen}"]')

    answer = await behind.pix("GET", "/webhooks", headers={"x-forwarded-for": forwarded})

    assert answer.status == 200


def pipeline(status: int, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}


async def vector_secret(house: House) -> None:
    """Give the shop the secret of the published vectors."""
    await house.run(
        "update pix_credential set secret_hash = :hash where client_id = :id",
        hash=house.scene.keyring.keyed_hash(VECTOR_KEY, "pix_credential.secret"),
        id=house.shop.client_id,
    )
