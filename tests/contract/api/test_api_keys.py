"""/api-keys: keys that manage keys (merchant-api.md §2, §9.12)."""

import re

import pytest

from opentill.merchants import api_keys, queries
from opentill.operators import install
from tests.contract.api.client import Response
from tests.contract.api.house import PAYMENT, House

pytestmark = pytest.mark.anyio

LISTED = {"id", "name", "label", "prefix", "scopes", "status", "last_used", "expires_at", "created_at"}
MADE = {"key", "prefix", "warning", "id", "name", "scopes", "expires_at"}


async def admin_key(house: House, *scopes: str) -> str:
    """Return a key of the shop with these scopes, by default all of them."""
    wanted = scopes or ("read", "write", "admin")
    key = await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=wanted))
    return key.reveal()


async def make(house: House, key: str, **fields: object) -> Response:
    made = await house.merchant("POST", "/api-keys", fields, key=key)
    assert made.status == 201, made.body
    return made


async def test_a_key_is_made_shown_once_and_works(house: House) -> None:
    admin = await admin_key(house)

    made = (await make(house, admin, name="Shop server", scopes=["write", "read"], rate_limit=7)).json()["data"]
    listed = (await house.merchant("GET", "/api-keys", key=admin)).json()["data"]
    used = await house.merchant("GET", "/transactions", key=made["key"])

    assert set(made) == MADE
    assert re.fullmatch(r"op_[0-9a-f]{8}\.[0-9a-f]{48}", made["key"])
    assert (made["name"], made["scopes"], made["expires_at"]) == ("Shop server", ["read", "write"], None)
    assert [set(key) for key in listed] == [LISTED] * 3
    assert (listed[0]["id"], listed[0]["label"], listed[0]["status"]) == (made["id"], "Shop server", "active")
    assert made["key"] not in str(listed)
    assert (used.status, used.headers["x-ratelimit-limit"]) == (200, "7")


@pytest.mark.parametrize("body", [b"[]", b"", b"{}", b"null"])
async def test_a_key_needs_no_fields(house: House, body: bytes) -> None:
    made = await house.merchant("POST", "/api-keys", key=await admin_key(house), body=body)

    assert made.status == 201
    assert made.json()["data"]["name"] == "Default"
    assert made.json()["data"]["scopes"] == ["read", "write"]


async def test_a_key_makes_no_key_with_a_scope_it_lacks(house: House) -> None:
    blind = await admin_key(house, "write", "admin")

    refused = await house.merchant("POST", "/api-keys", {"scopes": ["read"]}, key=blind)
    made = await make(house, blind)

    assert (refused.status, refused.json()["code"]) == (403, "INSUFFICIENT_PRIVILEGE")
    assert made.json()["data"]["scopes"] == ["write"]


@pytest.mark.parametrize("scopes", [("read",), ("read", "write"), ("admin",), ("read", "admin")])
@pytest.mark.parametrize(("method", "target"), [("GET", "/api-keys"), ("POST", "/api-keys"), ("DELETE", "/api-keys/1")])
async def test_keys_are_managed_with_write_and_admin_only(
    house: House, scopes: tuple[str, ...], method: str, target: str
) -> None:
    answer = await house.merchant(method, target, key=await admin_key(house, *scopes))

    assert (answer.status, answer.json()["code"]) == (403, "INSUFFICIENT_PRIVILEGE")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"scopes": ["root"]}, "INVALID_SCOPES"),
        ({"scopes": []}, "INVALID_SCOPES"),
        ({"scopes": "read"}, "INVALID_SCOPES"),
        ({"scopes": [["read"]]}, "INVALID_SCOPES"),
        ({"name": "n" * 81}, "VALIDATION_FAILED"),
        ({"label": ["a"]}, "VALIDATION_FAILED"),
        ({"expires_at": "tomorrow"}, "VALIDATION_FAILED"),
        ({"expires_at": "2026-03-07T15:29:59Z"}, "VALIDATION_FAILED"),
        ({"rate_limit": 0}, "VALIDATION_FAILED"),
        ({"rate_limit": 1_000_001}, "VALIDATION_FAILED"),
        ({"rate_limit": "many"}, "VALIDATION_FAILED"),
        ({"allowed_ips": ["10.0.0.300"]}, "VALIDATION_FAILED"),
        ({"allowed_ips": "10.0.0.1"}, "VALIDATION_FAILED"),
        ({"allowed_ips": [7]}, "VALIDATION_FAILED"),
    ],
)
async def test_wrong_fields_are_named_and_make_no_key(house: House, fields: dict[str, object], code: str) -> None:
    admin = await admin_key(house)

    refused = await house.merchant("POST", "/api-keys", fields, key=admin)

    assert (refused.status, refused.json()["code"]) == (422, "VALIDATION_ERROR")
    assert [error["code"] for error in refused.json()["errors"]] == [code]
    assert refused.json()["errors"][0]["field"] == next(iter(fields))
    assert len((await house.merchant("GET", "/api-keys", key=admin)).json()["data"]) == 2


@pytest.mark.checklist("M14")
async def test_a_revoked_key_is_refused_by_the_next_request(house: House) -> None:
    admin = await admin_key(house)
    made = (await make(house, admin)).json()["data"]
    assert (await house.merchant("GET", "/transactions", key=made["key"])).status == 200

    revoked = await house.merchant("DELETE", f"/api-keys/{made['id']}", key=admin)
    after = await house.merchant("GET", "/transactions", key=made["key"])
    again = await house.merchant("DELETE", f"/api-keys/{made['id']}", key=admin)

    assert revoked.json() == {"success": True, "data": {"message": "API key revoked."}}
    assert (after.status, after.json()["code"]) == (401, "INVALID_TOKEN")
    assert (again.status, again.json()["code"]) == (400, "KEY_REVOCATION_FAILED")


async def test_a_key_may_end_itself(house: House) -> None:
    admin = await admin_key(house)
    own = (await house.merchant("GET", "/api-keys", key=admin)).json()["data"][0]["id"]

    assert (await house.merchant("DELETE", f"/api-keys/{own}", key=admin)).status == 200
    assert (await house.merchant("GET", "/api-keys", key=admin)).status == 401


@pytest.mark.parametrize("key_id", ["0", "x", "-1", "999999", "9" * 40, "1.0"])
async def test_a_key_of_nobody_is_not_found(house: House, key_id: str) -> None:
    answer = await house.merchant("DELETE", f"/api-keys/{key_id}", key=await admin_key(house))

    assert (answer.status, answer.json()["code"]) == (404, "KEY_NOT_FOUND")


async def test_keys_of_two_merchants_do_not_know_each_other(house: House) -> None:
    admin = await admin_key(house)
    made = (await make(house, admin)).json()["data"]
    others = await house.db.write(
        lambda tx: house.scene.api_key(tx, house.other.merchant, scopes=["read", "write", "admin"])
    )

    refused = await house.merchant("DELETE", f"/api-keys/{made['id']}", key=others.reveal())
    listed = (await house.merchant("GET", "/api-keys", key=others.reveal())).json()["data"]

    assert (refused.status, refused.json()["code"]) == (404, "KEY_NOT_FOUND")
    assert made["id"] not in {key["id"] for key in listed}


async def test_ended_keys_are_listed_where_all_are_asked_for(house: House) -> None:
    admin = await admin_key(house)
    short = (await make(house, admin, expires_at="2026-03-07T15:31:00Z")).json()["data"]
    gone = (await make(house, admin)).json()["data"]
    await house.merchant("DELETE", f"/api-keys/{gone['id']}", key=admin)
    house.clock.advance(61_000_000)

    active = (await house.merchant("GET", "/api-keys", key=admin)).json()["data"]
    every = (await house.merchant("GET", "/api-keys?status=all", key=admin)).json()["data"]

    assert {key["status"] for key in active} == {"active"}
    assert {key["id"]: key["status"] for key in every if key["id"] in (short["id"], gone["id"])} == {
        short["id"]: "expired",
        gone["id"]: "revoked",
    }


async def test_a_named_super_admin_must_be_one(house: House) -> None:
    admin = await admin_key(house)
    await house.run(
        "insert into operator (email, name, password_hash, created_at) values ('ana@example.com', 'Ana', 'x', 0)"
    )
    await house.run("insert into operator_grant (operator_id, role, created_at) select id, 'owner', 0 from operator")
    await house.run(
        "insert into operator (email, name, password_hash, created_at) values ('bob@example.com', 'Bob', 'x', 0)"
    )

    async def asked(**headers: str) -> Response:
        return await house.merchant(
            "GET", "/api-keys", key=admin, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    assert (await asked()).status == 200
    assert (await asked(x_super_admin_email="Ana@Example.com")).status == 200
    for nobody in ("eve@example.com", "bob@example.com", ""):
        wrong = await asked(x_super_admin_email=nobody)
        assert (wrong.status, wrong.json()["code"]) == (403, "INVALID_SUPER_ADMIN")

    await house.db.write(lambda tx: install.change(tx, now=house.clock.now(), require_super_admin_email=True))
    house.next_second()
    missing = await asked()
    assert (missing.status, missing.json()["code"]) == (400, "SUPER_ADMIN_EMAIL_REQUIRED")
    assert (await asked(x_super_admin_email="ana@example.com")).status == 200


async def test_making_a_key_twice_under_one_idempotency_key_makes_one_and_shows_it_again(house: House) -> None:
    admin = await admin_key(house)
    headers = {"idempotency-key": "new-key"}

    first = await house.merchant("POST", "/api-keys", {"name": "A"}, key=admin, headers=headers)
    again = await house.merchant("POST", "/api-keys", {"name": "A"}, key=admin, headers=headers)

    assert first.body == again.body
    assert again.headers["idempotent-replayed"] == "true"
    row = (await house.db.read(lambda tx: tx.all("select sealed_body from idempotency")))[0]
    assert first.json()["data"]["key"] not in row["sealed_body"]


async def test_every_change_is_in_the_audit_log(house: House) -> None:
    admin = await admin_key(house)
    made = (await make(house, admin, name="A")).json()["data"]
    await house.merchant("DELETE", f"/api-keys/{made['id']}", key=admin)

    rows = await house.db.read(lambda tx: tx.all("select actor, origin, action, subject, detail from audit_entry"))

    assert [(row["action"], row["subject"]) for row in rows] == [
        ("api_key.created", f"api_key:{made['prefix']}"),
        ("api_key.revoked", f"api_key:{made['prefix']}"),
    ]
    assert {(row["actor"], row["origin"]) for row in rows} == {(f"key:{admin[3:11]}", "203.0.113.9")}
    assert made["key"] not in str([dict(row) for row in rows])


async def test_a_key_is_used_from_where_it_may_be_used_only(house: House) -> None:
    made = (await make(house, await admin_key(house), allowed_ips=["198.51.100.0/24", "2001:db8::7"])).json()["data"]

    inside = await house.merchant("GET", "/transactions", key=made["key"], peer="198.51.100.200")
    outside = await house.merchant("GET", "/transactions", key=made["key"])

    assert inside.status == 200
    assert (outside.status, outside.json()["code"]) == (403, "IP_NOT_ALLOWED")


@pytest.mark.checklist("M60")
async def test_both_keys_work_during_the_overlap_of_a_rotation_and_the_new_one_after_it(house: House) -> None:
    shop = house.shop.merchant.owner
    old_id = (await house.db.read(lambda tx: queries.api_keys(tx, owner=shop, now=house.clock.now())))[0].id

    _, new = await house.db.write(
        lambda tx: api_keys.rotate(tx, old_id, owner=shop, ids=house.scene.ids, now=house.clock.now(), overlap_s=3600)
    )

    text = new.text.reveal()
    assert (await house.merchant("GET", "/transactions")).status == 200
    assert (await house.merchant("GET", "/transactions", key=text)).status == 200
    house.clock.advance(3_600_000_000)
    ended = await house.merchant("GET", "/transactions")
    assert (ended.status, ended.json()["message"]) == (401, "This API key is expired.")
    assert (await house.merchant("POST", "/payments", PAYMENT, key=text)).status == 201
