"""Bad input to the PIX API: every refusal of its tables in its words, with nothing left behind, and never a 500."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from opentill.api.external.operations import DESCRIBED
from opentill.db import Database
from opentill.kernel.clock import DAY, HOUR
from opentill.merchants.model import DEFAULT_PERMISSIONS
from opentill.pix.keys import detect
from opentill.pix.rejections import BY_CODE, ROWS
from tests.contract.api.client import declined
from tests.contract.api.counter import Counter, open_counter
from tests.unit.pix.vectors import CODES, REFUSED

pytestmark = pytest.mark.anyio
SENT = {"amount": 3000, "pix_key": "fulano@example.com"}
ODD = (
    None,
    "",
    " ",
    "x" * 5_000,
    "ção \U0001f600",
    0,
    -1,
    10**30,
    1.5,
    True,
    [],
    [[]],
    {},
    {"a": [1]},
    "\u202e",
    "';--",
)
ODD_NAMES = ("%00", "x" * 3_000, "%F0%9F%98%80", "..", "%2e%2e", "%25", "-1", "9" * 40, "%C3%A7", "a%20b", "%E2%80%AE")
ODD_WORDS = ("", "-1", "0", "x", "%00", "%F0%9F%98%80", "9" * 40, "2026-02-30", "0001-01-01", "9999-12-31")
TABLES = ("payment", "pix_charge", "pix_payout", "refund", "receipt", "journal", "posting", "event", "webhook_endpoint",
          "pix_infraction")  # fmt: skip


async def rows(counter: Counter) -> dict[str, int]:
    found = {name: await counter.shop.rows(f"select count(*) as n from {name}") for name in TABLES}
    return {name: one[0]["n"] for name, one in found.items()}


async def received(counter: Counter, amount: int = 3000) -> tuple[str, str]:
    charge = (await counter.fine("POST", "/pix/cash-in", {"amount": amount}))["transaction_id"]
    paid = await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    await counter.goes_on()
    return str(charge), str(paid["end_to_end_ids"][0])


class Limit(NamedTuple):
    """What an operator set, what is asked, and how it is refused."""

    policy: dict[str, Any]
    path: str
    fields: dict[str, Any]
    detail: str


LIMITS = (
    Limit({"charge_min_units": 300_001}, "/pix/cash-in", {"amount": 3000}, "Transaction limit exceeded"),
    Limit({"charge_max_units": 299_999}, "/pix/cash-in", {"amount": 3000}, "Transaction limit exceeded"),
    Limit({"payout_max_units": 299_999}, "/pix/cash-out", SENT, "Transaction limit exceeded"),
    Limit({"payout_day_units": 299_999}, "/pix/cash-out", SENT, "Daily limit exceeded"),
    Limit({"payout_night_units": 299_999}, "/pix/cash-out", SENT, "Night limit exceeded"),
    Limit({"payouts": False}, "/pix/cash-out", SENT, "Payouts are disabled"),
    Limit({"payout_max_units": 1}, "/pix/cash-out", {**SENT, "amount": 100_001}, "Insufficient balance"),
)


@pytest.mark.checklist("X11", "X37")
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: "-".join(limit.policy))
async def test_what_is_beyond_a_limit_is_refused_and_what_is_at_it_passes(counter: Counter, limit: Limit) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    if "payout_night_units" in limit.policy:
        counter.shop.passes(9 * HOUR)  # half past midnight in São Paulo
    await counter.shop.allows(**limit.policy)
    before = await rows(counter)
    declined(await counter.ask("POST", limit.path, limit.fields), 422, limit.detail)
    assert await rows(counter) == before
    assert (await counter.balance())["pending"] == 0
    (name, value), *_ = limit.policy.items()
    more = -1 if "min" in name else 1
    await counter.shop.allows(**{name: True if value is False else value + more if value > 1 else None})
    assert (await counter.ask("POST", limit.path, {**limit.fields, "amount": 3000})).status == 200


@pytest.mark.checklist("X31")
@pytest.mark.parametrize("name", [*REFUSED, "S", "H", "N1", "N2", "N3"])
async def test_no_bad_code_is_paid(counter: Counter, name: str) -> None:
    good = CODES["B"]
    code = (
        {
            "N1": good[:-1] + ("0" if good[-1] != "0" else "1"),  # another CRC
            "N2": good[: len(good) // 2],
            "N3": "https://example.com/pay",
            "S": CODES["S"],  # with cash
            "H": CODES["H"],  # a recurrence alone
        }.get(name)
        or REFUSED[name][1]
    )
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    before = await rows(counter)
    for field in ("emv_code", "emv", "codigo_copia_cola"):
        declined(await counter.ask("POST", "/pix/cash-out", {"amount": 100, field: code}), 422, "Invalid PIX code")
    assert await rows(counter) == before
    assert (await counter.balance())["pending"] == 0


@pytest.mark.checklist("X31")
async def test_a_code_that_is_paid_or_over_is_not_paid_again(counter: Counter) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    paid, over, open_ = [await counter.fine("POST", "/pix/cash-in", {"amount": 3000}) for _ in range(3)]
    await counter.fine("POST", f"/sandbox/charges/{paid['transaction_id']}/pay")
    await counter.fine("POST", f"/sandbox/charges/{over['transaction_id']}/expire")
    await counter.goes_on()
    for charge in (paid, over):
        answer = await counter.ask("POST", "/pix/cash-out", {"amount": 3000, "emv_code": charge["qr_code"]})
        declined(answer, 422, "PIX code has expired or was already paid")
    answer = await counter.ask("POST", "/pix/cash-out", {"amount": 2999, "emv_code": open_["qr_code"]})
    declined(answer, 422, "amount does not match the PIX code")
    assert (await counter.balance())["pending"] == 0


async def test_the_payload_of_a_code_wins_where_the_operator_wants_that(database: Database, tmp_path: Path) -> None:
    async with open_counter(database, tmp_path, pix_compat_dynamic_amount="payload_wins") as counter:
        await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
        charge = await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
        made = await counter.fine("POST", "/pix/cash-out", {"amount": 1, "emv_code": charge["qr_code"]})
        assert made["amount"] == 300_000


@pytest.mark.checklist("X30")
@pytest.mark.parametrize(
    ("given", "named", "kind", "stored"),
    [
        ("11987654321", None, "phone", "+5511987654321"),  # eleven digits that are no CPF
        ("11987654321", "phone", "phone", "+5511987654321"),
        ("11987654321", "cpf", None, None),
        ("51998259765", None, "cpf", "51998259765"),  # both: a CPF, unless it is said to be a phone
        ("51998259765", "cpf", "cpf", "51998259765"),
        ("51998259765", "phone", "phone", "+5551998259765"),
        ("12345678000195", None, "cnpj", "12345678000195"),
        ("12345678000195", "phone", None, None),
        ("123e4567e12b12d1a456426655440000", "email", None, None),
        ("+5511987654321", "cpf", None, None),
        ("fulano@example.com", "evp", None, None),
    ],
)
async def test_a_key_that_looks_like_two_kinds_is_what_it_is_said_to_be(
    counter: Counter, given: str, named: str | None, kind: str | None, stored: str | None
) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    asked = {"amount": 100, "pix_key": given} | ({"pix_key_type": named} if named else {})
    answer = await counter.ask("POST", "/pix/cash-out", asked)
    if stored is None:
        declined(answer, 400, "Invalid PIX key")
        return
    row = (await counter.fine("GET", f"/transactions/{answer.json()['transaction_id']}"))["data"]
    assert row["recipient_key"] == stored
    assert detect(stored if kind == "phone" else given).type.value == kind


@pytest.mark.checklist("X32")
async def test_every_rejection_by_key_reaches_the_merchant_and_releases_the_hold(counter: Counter) -> None:
    """A key under restriction is one of them. Keys win over amounts: each of these amounts fails otherwise."""
    await counter.fine("POST", "/sandbox/fund", {"amount": 900_000_000})
    wanted, names = [], []
    for row in (row for row in ROWS if row.number <= 61):
        word = f"{row.code.lower()}@spi" if row.code else f"{row.reason.replace('_', '-')}@dict"
        asked = {"amount": 900_004, "pix_key": f"{word}.opentill.test"}
        names.append((await counter.fine("POST", "/pix/cash-out", asked))["transaction_id"])
        wanted.append((row.code or row.reason.upper(), row.reason, row.retryable))
    await counter.goes_on(rounds=8, each_us=11_000_000)
    told = {
        doc["payout"]["transaction_id"]: doc["payout"]
        for doc in await counter.shop.documents()
        if doc.get("payout", {}).get("failure_reason")
    }
    said = [(told[name]["failure_reason"], told[name]["failure_code"], told[name]["retryable"]) for name in names]
    assert said == wanted
    assert {"KEY_RESTRICTED", "AC03"} <= {reason for reason, _, _ in said}
    assert BY_CODE["AC03"].reason == "account_not_found"
    assert await counter.balance() == {"balance": 9 * 10**10, "available": 9 * 10**10, "pending": 0}


@pytest.mark.checklist("X38", "X11")
async def test_every_refusal_of_a_refund_in_the_order_of_its_table(counter: Counter) -> None:
    charge, e2e_id = await received(counter)
    path, asked = "/pix/refund", {"original_transaction_id": charge}
    unpaid = (await counter.fine("POST", "/pix/cash-in", {"amount": 3000}))["transaction_id"]
    for fields, status, detail in (
        ({}, 400, "The original_transaction_id field is required"),
        ({"original_transaction_id": 7}, 422, "original_transaction_id must be a string"),
        ({"original_transaction_id": "none", "amount": 0, "reason": "XX"}, 404, "Original transaction not found"),
        ({**asked, "amount": 0, "reason": "XX"}, 422, "amount must be greater than zero"),
        ({**asked, "amount": 1.5, "reason": "XX"}, 422, "amount must be an integer number of centavos"),
        ({**asked, "amount": 10**12}, 422, "amount is outside the allowed range"),
        ({**asked, "reason": "XX"}, 422, "Invalid refund reason"),
        ({**asked, "description": "x" * 141}, 422, "description must be at most 140 characters"),
        ({"original_transaction_id": unpaid}, 422, "Transaction is not refundable"),
        ({**asked, "amount": 3001}, 422, "Refund amount exceeds the original transaction"),
    ):
        declined(await counter.ask("POST", path, fields), status, detail)

    await counter.fine("POST", "/pix/cash-out", SENT)
    await counter.goes_on()
    declined(await counter.ask("POST", path, asked), 422, "Insufficient balance for refund")
    await counter.fine("POST", "/sandbox/fund", {"amount": 10_000})
    med = await counter.fine("POST", "/sandbox/med", {"end_to_end_id": e2e_id})
    declined(await counter.ask("POST", path, asked), 422, "Transaction is under dispute")
    await counter.fine("POST", f"/sandbox/med/{med['med_id']}/resolve", {"result": "CANCELLED"})
    counter.shop.passes(91 * DAY)
    declined(await counter.ask("POST", path, asked), 422, "Refund window has expired")


@pytest.mark.checklist("X11")
async def test_every_refusal_of_a_charge(counter: Counter) -> None:
    for fault, status, detail in (
        ("http_400", 422, "The provider refused the charge"),
        ("http_503", 503, "Provider unavailable, try again"),
    ):
        await counter.fine("POST", "/sandbox/faults", {"operation": "charge.create", "fault": fault, "count": 9})
        answer = await counter.ask("POST", "/pix/cash-in", {"amount": 3000})
        declined(answer, status, detail)
        assert answer.headers.get("retry-after") == ("5" if status == 503 else None)
        await counter.fine("DELETE", "/sandbox/faults")
    wrong_key = {"amount": 3000, "pix_key": "a@example.com", "expires_in": 1}
    declined(await counter.ask("POST", "/pix/cash-in", wrong_key), 422, "pix_key does not belong to this account")
    await counter.shop.run("update pix_key set status = 'removed'")
    declined(await counter.ask("POST", "/pix/cash-in", {"amount": 3000}), 422, "No active PIX key")


async def test_the_city_stands_in_the_code(counter: Counter) -> None:
    named = await counter.fine("POST", "/pix/cash-in", {"amount": 3000, "city": "São José dos Campos"})
    plain = await counter.fine("POST", "/pix/cash-in", {"amount": 3000})
    assert "6015Sao Jose dos Ca" in named["qr_code"]
    assert "6009SAO PAULO" in plain["qr_code"]
    paid = await counter.fine("POST", "/sandbox/fund", {"amount": 10_000})
    assert paid["worked"]
    sent = await counter.ask("POST", "/pix/cash-out", {"amount": 3000, "emv_code": named["qr_code"]})
    assert sent.status == 200  # it is the same charge
    declined(await counter.ask("POST", "/pix/cash-in", {"amount": 1, "city": "\U0001f600"}), 422, "city is invalid")


async def test_whatever_is_sent_nothing_breaks(counter: Counter) -> None:
    """Every field of every operation with every odd value, and odd names in every path: answered, never a 500."""
    charge, e2e_id = await received(counter)
    payout = (await counter.fine("POST", "/pix/cash-out", {**SENT, "amount": 1}))["transaction_id"]
    hook = (await counter.fine("POST", "/webhooks", {"url": "https://shop.example/hook"}))["id"]
    counter.credential = await counter.another(*DEFAULT_PERMISSIONS, "transfer:approve")
    for operation in DESCRIBED:
        known = hook if operation.path.startswith("/webhooks") else payout if "payouts" in operation.path else charge
        path = operation.path.replace("{id}", known).replace("{delivery_id}", "dlv_1").replace("{e2e_id}", e2e_id)
        path = path.replace("{tag}", known[:5]).replace("{external_id}", "a")
        content = operation.document.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name in content.get("schema", {}).get("properties", {}):
            for value in ODD:
                answer = await counter.ask(operation.method, path, {**content["example"], name: value})
                assert answer.status in (200, 201, 400, 404, 422), (path, name, value, answer.body)
                assert {"worked"} <= answer.json().keys(), (path, name, value)
        for name in ODD_NAMES if "{" in operation.path else ():
            odd = operation.path.replace("{id}", name).replace("{delivery_id}", name).replace("{e2e_id}", name)
            odd = odd.replace("{tag}", name).replace("{external_id}", name)
            answer = await counter.ask(operation.method, odd, content.get("example"))
            assert answer.status in (200, 400, 404, 422), (odd[:60], answer.body)
        for parameter in operation.document.get("parameters", ()):
            if parameter["in"] == "query":
                for value in ODD_WORDS:
                    answer = await counter.ask(operation.method, f"{path}?{parameter['name']}={value}")
                    assert answer.status in (200, 404, 422), (path, parameter["name"], value, answer.body)
    assert (await counter.balance())["balance"] >= 0
    await counter.shop.books()
