"""The request log: a line for every request whose key is known, without bodies, secrets or names (§16.1, I25)."""

import shlex

import pytest

from opentill.kernel.clock import DAY, Instant
from opentill.merchants import request_log
from opentill.merchants.request_log import Asked, Filters, shown_path, shown_query
from opentill.web.request_log import BATCH, WAITING_MAX
from tests.contract.api.house import CASH_IN, PAYMENT, House, Shop

pytestmark = pytest.mark.anyio


async def listed(house: House, shop: Shop | None = None, **filters: object) -> list[Asked]:
    """Store what waits, and return a shop's requests, newest first."""
    while await house.dependencies.request_log.store(house.db):
        pass
    owner, chosen = (shop or house.shop).merchant.owner, Filters(**filters)  # type: ignore[arg-type]
    return list(await house.db.read(lambda tx: request_log.page(tx, owner=owner, filters=chosen)))


async def test_a_request_leaves_a_line_that_says_how_it_ended(house: House) -> None:
    sent = {"idempotency-key": "order-1", "user-agent": "curl/8"}
    first = await house.merchant("POST", "/payments", PAYMENT, headers=sent)
    again = await house.merchant("POST", "/payments", PAYMENT, headers=sent)
    other = await house.merchant("POST", "/payments", {**PAYMENT, "amount": "1"}, headers=sent)

    newest, replay, made = await listed(house)

    assert (made.method, made.address, made.operation, made.status, made.code) == (
        "POST", "/api/v1/payments", "/payments", 201, "",
    )  # fmt: skip
    assert (made.request_id, made.agent, made.ip) == (first.headers["x-request-id"], "curl/8", "203.0.113.9")
    assert (made.replayed, replay.replayed) == (False, True)
    assert replay.request_id == again.headers["x-request-id"]
    assert (newest.status, newest.code) == (other.status, "IDEMPOTENCY_KEY_REUSED")
    assert made.at == house.clock.now()


async def test_requests_are_found_by_idempotency_key_caller_and_outcome(house: House) -> None:
    await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "a"})
    await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "b"})
    missing = await house.merchant("GET", "/payments/txn_0000000000000000")
    await house.pix("POST", "/pix/cash-in", CASH_IN, headers={"idempotency-key": "a"})

    everything = await listed(house)
    keyed = await listed(house, idempotency_key="a")

    assert len(everything) == 4
    assert {line.surface for line in keyed} == {"merchant", "pix"}
    assert len(await listed(house, surface="merchant", caller_id=everything[-1].caller_id)) == 3
    assert [line.request_id for line in await listed(house, status_from=400)] == [missing.headers["x-request-id"]]
    assert await listed(house, since=Instant(house.clock.now() + 1)) == []
    assert await listed(house, house.other) == []


async def test_pages_go_back_in_time_and_are_bounded(house: House) -> None:
    for _ in range(5):
        await house.merchant("GET", "/payments")
    lines, owner = await listed(house), house.shop.merchant.owner

    older = await house.db.read(lambda tx: request_log.page(tx, owner=owner, before=lines[1].id, limit=2))
    found = await house.db.read(lambda tx: request_log.one(tx, lines[0].id, owner=owner))
    foreign = await house.db.read(lambda tx: request_log.one(tx, lines[0].id, owner=house.other.merchant.owner))

    assert list(older) == lines[2:4]
    assert (found, foreign) == (lines[0], None)


async def test_nobody_is_named_and_no_secret_is_kept(house: House) -> None:
    await house.merchant("GET", "/customers/jane@example.com")
    await house.merchant("GET", "/customers/8801712345678")
    await house.merchant("GET", "/nowhere/jane@example.com/" + "f" * 64)
    await house.merchant("GET", "/payments?reference=Jane+Smith&status=completed&per_page=5")
    await house.merchant("POST", "/customers", {"name": "Jane Smith", "email": "jane@example.com"})
    await listed(house)

    rows = await house.db.read(lambda tx: [dict(row) for row in tx.all("select * from api_request")])

    assert len(rows) == 5
    for word in ("jane", "Jane", "Smith", "8801712345678", "f" * 64, house.shop.key, house.shop.key[12:]):
        assert word not in str(rows)
    assert [row["path"] for row in rows][:3] == ["/customers/…", "/customers/…", "/nowhere/…/…"]
    assert rows[3]["query"] == "reference=…&status=completed&per_page=5"


@pytest.mark.parametrize(
    ("path", "operation", "shown"),
    [
        ("/payments/txn_0123456789abcdef/cancel", "/payments/{payment_id}/cancel", None),
        ("/customers/0197f3c2-1111-7222-8333-444455556666", "/customers/{identifier}", None),
        ("/customers/+8801712345678", "/customers/{identifier}", "/customers/…"),
        ("/a b/%00", "", "/…/…"),
        ("", "", None),
    ],
)
def test_an_address_keeps_the_names_of_things(path: str, operation: str, shown: str | None) -> None:
    assert shown_path(path, operation) == (path if shown is None else shown)


def test_a_query_keeps_plain_values_only() -> None:
    assert shown_query(b"page=2&token=abc&from=2026-01-01&status=<x>&em@il=1&empty=") == (
        "page=2&token=…&from=2026-01-01&status=…&…=…&empty="
    )


async def test_a_locked_key_and_a_refused_scope_are_seen(house: House) -> None:
    read_only = (
        await house.db.write(lambda tx: house.scene.api_key(tx, house.shop.merchant, scopes=("read",)))
    ).reveal()
    await house.merchant("POST", "/payments", PAYMENT, key=read_only)
    await house.run("update api_key set status = 'locked'")
    house.next_second()
    await house.merchant("GET", "/payments")
    await house.merchant("GET", "/payments", key="op_ffffffff." + "0" * 48)

    assert [(line.status, line.code) for line in await listed(house)] == [
        (401, "INVALID_TOKEN"),
        (403, "INSUFFICIENT_SCOPE"),
    ]


async def test_use_counts_a_day_and_what_the_limit_refused(house: House) -> None:
    await house.run("update api_key set rate_limit = 2")
    await house.merchant("GET", "/payments")
    await listed(house)
    house.clock.advance(DAY + 1)
    for _ in range(3):
        await house.merchant("GET", "/payments")
    line, *_ = await listed(house)

    owner, now = house.shop.merchant.owner, house.clock.now()
    use = await house.db.read(lambda tx: request_log.use(tx, "merchant", line.caller_id, owner=owner, now=now))

    assert (use.requests, use.refused) == (3, 1)


async def test_a_request_is_written_as_a_command_that_a_shell_reads_whole(house: House) -> None:
    await house.merchant("POST", "/payments", PAYMENT, headers={"idempotency-key": "it's; rm -rf $(x)"})
    await house.pix("GET", "/balance")
    pix, merchant = await listed(house)

    words = shlex.split(request_log.as_curl(merchant, "https://pay.example.com", name="1a2b3c4d"))

    assert words[:4] == ["curl", "-X", "POST", "https://pay.example.com/api/v1/payments"]
    assert "Authorization: Bearer op_1a2b3c4d.REST_OF_YOUR_KEY" in words
    assert "Idempotency-Key: it's; rm -rf $(x)" in words
    assert "@body.json" in words
    assert "Authorization: ApiKey cli_1:YOUR_CLIENT_SECRET" in shlex.split(
        request_log.as_curl(pix, "https://pay.example.com", name="cli_1")
    )


async def test_what_is_old_or_too_much_is_forgotten(house: House) -> None:
    for _ in range(4):
        await house.merchant("GET", "/payments")
    await listed(house)
    house.clock.advance(DAY)
    for _ in range(3):
        await house.merchant("GET", "/payments")
    await listed(house)
    now = house.clock.now()

    removed = [
        await house.db.write(lambda tx: request_log.purge(tx, before=now, rows_max=10, most=3)),
        await house.db.write(lambda tx: request_log.purge(tx, before=now, rows_max=10, most=3)),
        await house.db.write(lambda tx: request_log.purge(tx, before=now, rows_max=2, most=3)),
    ]

    assert removed == [3, 1, 1]
    assert len(await listed(house)) == 2


async def test_lines_wait_in_bounds_and_are_stored_in_batches(house: House) -> None:
    answer = await house.merchant("GET", "/payments")
    log = house.dependencies.request_log
    line = log._waiting[0]
    log._waiting.extend([line] * (BATCH - 1))

    more = [await log.store(house.db), await log.store(house.db)]
    log._waiting.extend([line] * WAITING_MAX)
    await house.merchant("GET", "/payments")

    assert more == [False, False]
    assert answer.status == 200
    assert len(log._waiting) == WAITING_MAX
    log._waiting.clear()
