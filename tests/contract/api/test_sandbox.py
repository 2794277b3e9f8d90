"""/sandbox: whatever a developer has happen there reaches the books and the events (pix-api.md §19)."""

from typing import Any

import pytest

from opentill.api.external import sandbox
from opentill.db import Tx
from opentill.kernel.clock import MINUTE
from opentill.kernel.mode import Mode
from opentill.merchants.model import Merchant
from tests.contract.api.client import Response, declined
from tests.contract.api.counter import Counter, Credential
from tests.usecases.pix.shop import KEY

pytestmark = pytest.mark.anyio


async def charged(counter: Counter, amount: int = 3000, **more: Any) -> str:
    made = await counter.fine("POST", "/pix/cash-in", {"amount": amount, **more})
    return str(made["transaction_id"])


async def status(counter: Counter, transaction_id: str) -> str:
    found = await counter.fine("GET", f"/transactions/{transaction_id}")
    return str(found["data"]["status"])


async def live_credential(counter: Counter, *, name: str = "Loja Viva") -> tuple[Merchant, Credential]:
    scene = counter.shop.scene

    def build(tx: Tx) -> tuple[Merchant, Credential]:
        merchant = scene.merchant(tx, name, mode=Mode.LIVE)
        client_id, secret = scene.credential(tx, merchant)
        return merchant, (client_id, secret.reveal())

    return await counter.shop.db.write(build)


@pytest.mark.checklist("X26")
async def test_a_simulated_payer_completes_a_charge(counter: Counter) -> None:
    charge = await charged(counter, external_id="order-9876")
    assert (await counter.balance())["balance"] == 0

    paid = await counter.fine(
        "POST", f"/sandbox/charges/{charge}/pay", {"payer_name": "João Teste", "payer_document": "12345678909"}
    )
    await counter.goes_on()

    row = (await counter.fine("GET", f"/transactions/{charge}"))["data"]
    assert [row["end_to_end_id"]] == paid["end_to_end_ids"]
    assert (row["status"], row["counterparty_name"], row["payer_document"]) == (
        "completed",
        "João Teste",
        "12345678909",
    )
    assert await counter.events() == ["pix.charge.created", "pix.charge.paid"]
    assert len((await counter.fine("GET", f"/transactions/{charge}/receipt"))["receipt"]) == 17
    assert await counter.balance() == {"balance": 300_000, "available": 300_000, "pending": 0}


async def test_a_payer_may_pay_twice_another_amount_late_and_unannounced(counter: Counter) -> None:
    twice, other, late, quiet = [await charged(counter) for _ in range(4)]
    await counter.fine("POST", f"/sandbox/charges/{twice}/pay", {"count": 2, "notify": "twice"})
    await counter.fine("POST", f"/sandbox/charges/{other}/pay", {"amount": 2999})
    ended = await counter.fine("POST", f"/sandbox/charges/{late}/expire")
    await counter.fine("POST", f"/sandbox/charges/{late}/pay", {"delay_ms": 1000})
    await counter.fine("POST", f"/sandbox/charges/{quiet}/pay", {"notify": "never"})

    await counter.catches_up()

    assert ended["status"] == "expired"
    assert [await status(counter, charge) for charge in (twice, other, late, quiet)] == [
        "completed",
        "pending",
        "completed",
        "completed",
    ]
    events = await counter.events()
    assert (events.count("pix.charge.paid"), events.count("pix.charge.expired")) == (4, 1)
    assert await counter.balance() == {"balance": 1_499_900, "available": 1_200_000, "pending": 299_900}
    await counter.shop.books()


async def test_a_charge_expires_when_told_to_and_only_once(counter: Counter) -> None:
    charge = await charged(counter)
    answer = await counter.fine("POST", f"/sandbox/charges/{charge}/expire")
    assert answer == {"worked": True, "transaction_id": charge, "status": "expired"}
    declined(
        await counter.ask("POST", f"/sandbox/charges/{charge}/expire"), 422, "Transaction has already been processed"
    )
    assert await counter.events() == ["pix.charge.created", "pix.charge.expired"]


async def test_money_arrives_on_a_key_and_from_nowhere(counter: Counter) -> None:
    await counter.fine("POST", "/sandbox/receipts", {"pix_key": KEY, "amount": 3000})
    await counter.fine("POST", "/sandbox/receipts", {"pix_key": KEY, "amount": 500, "label": "mesa7"})
    funded = await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    await counter.goes_on()
    await counter.catches_up()  # nothing of it is counted twice

    assert funded["amount"] == 10_000_000
    assert await counter.events() == ["pix.charge.paid"] * 2
    assert (await counter.balance())["available"] == 10_350_000
    assert await status(counter, funded["transaction_id"]) == "completed"
    declined(
        await counter.ask("POST", "/sandbox/receipts", {"pix_key": "x@example.com", "amount": 1}),
        422,
        "pix_key does not belong to this account",
    )
    assert await counter.shop.books() == {"bank": -103_500, "available": 103_500}


async def test_a_payout_that_waits_is_ended_and_returned(counter: Counter) -> None:
    await counter.fine("POST", "/sandbox/fund", {"amount": 10_000_000})
    asked = {"amount": 910_011, "pix_key": "fulano@example.com"}
    good, bad, unsent = [(await counter.fine("POST", "/pix/cash-out", asked))["transaction_id"] for _ in range(3)]
    declined(
        await counter.ask("POST", f"/sandbox/payouts/{unsent}/settle"), 422, "Transaction has not reached the bank"
    )
    await counter.goes_on()
    assert await status(counter, good) == "processing"

    await counter.fine("POST", f"/sandbox/payouts/{good}/settle")
    await counter.fine("POST", f"/sandbox/payouts/{bad}/settle", {"outcome": "failed", "code": "ac03"})
    await counter.goes_on()
    part = await counter.fine("POST", f"/sandbox/payouts/{good}/return", {"amount": 10_011})
    await counter.goes_on()
    assert await status(counter, good) == "completed"
    await counter.fine("POST", f"/sandbox/payouts/{good}/return")
    await counter.goes_on()

    assert part["return_id"].startswith("D99999002")
    assert (await status(counter, good), await status(counter, bad)) == ("returned", "failed")
    declined(await counter.ask("POST", f"/sandbox/payouts/{bad}/settle"), 422, "Transaction has already been processed")
    assert (await counter.ask("POST", f"/sandbox/payouts/{good}/return")).status == 422
    failed = [doc["payout"] for doc in await counter.shop.documents() if doc.get("payout", {}).get("failure_reason")]
    assert [(one["transaction_id"], one["failure_reason"]) for one in failed] == [(bad, "AC03")]
    assert (await counter.balance())["pending"] == 910_011 * 100
    await counter.shop.books()


async def test_a_refund_that_stays_in_progress_is_ended_by_hand(counter: Counter) -> None:
    charge = await charged(counter)
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    await counter.goes_on()
    asked = {"original_transaction_id": charge, "amount": 117}
    done, failed = [(await counter.fine("POST", "/pix/refund", asked))["refund_id"] for _ in range(2)]
    await counter.goes_on()
    assert await status(counter, done) == "processing"

    await counter.fine("POST", f"/sandbox/refunds/{done}/settle")
    await counter.fine("POST", f"/sandbox/refunds/{failed}/settle", {"outcome": "failed"})
    await counter.catches_up()

    assert (await status(counter, done), await status(counter, failed)) == ("completed", "failed")
    declined(
        await counter.ask("POST", f"/sandbox/refunds/{done}/settle"), 422, "Transaction has already been processed"
    )
    assert (await counter.balance())["balance"] == 300_000 - 11_700


@pytest.mark.checklist("X42")
@pytest.mark.parametrize(
    ("result", "shown", "left"),
    [("AGREED", "CLOSED", 0), ("DISAGREED", "CLOSED", 300_000), ("CANCELLED", "CANCELLED", 300_000)],
)
async def test_a_contest_is_opened_and_resolved(counter: Counter, result: str, shown: str, left: int) -> None:
    charge = await charged(counter)
    paid = await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    await counter.goes_on()

    opened = await counter.fine("POST", "/sandbox/med", {"end_to_end_id": paid["end_to_end_ids"][0]})
    assert await counter.balance() == {"balance": 300_000, "available": 0, "pending": 300_000}
    med = (await counter.fine("GET", f"/med/{opened['med_id']}"))["med"]
    assert (med["status"], med["amount"], med["reason"]) == ("ACKNOWLEDGED", 300_000, "FRAUD")
    closed = await counter.fine("POST", f"/sandbox/med/{opened['med_id']}/resolve", {"result": result})
    await counter.catches_up()

    assert closed == {"worked": True, "med_id": opened["med_id"], "status": shown}
    assert (await counter.balance())["balance"] == left
    declined(
        await counter.ask("POST", f"/sandbox/med/{opened['med_id']}/resolve", {"result": result}),
        422,
        "MED is already closed",
    )
    assert (await counter.events()).count("pix.refund.completed") == 1


async def test_a_fault_strikes_what_it_is_matched_with_and_is_gone(counter: Counter) -> None:
    asked = {"operation": "charge.create", "fault": "http_400", "match": {"external_id": "order-1"}, "count": 2}
    await counter.fine("POST", "/sandbox/faults", asked)
    other = await counter.ask("POST", "/pix/cash-in", {"amount": 3000, "external_id": "order-2"})
    struck = [await counter.ask("POST", "/pix/cash-in", {"amount": 3000, "external_id": "order-1"}) for _ in range(3)]

    assert (other.status, [answer.status for answer in struck]) == (200, [422, 422, 200])
    assert (await counter.fine("GET", "/sandbox/faults"))["faults"] == []

    again = await counter.fine("POST", "/sandbox/faults", asked)
    (waiting,) = (await counter.fine("GET", "/sandbox/faults"))["faults"]
    assert waiting == {**asked, "id": again["id"], "delay_ms": 0, "used": 0}
    await counter.fine("DELETE", "/sandbox/faults")
    assert (await counter.fine("GET", "/sandbox/faults"))["faults"] == []


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("charges/{charge}/pay", {"amount": 0}, 422, "amount must be greater than zero"),
    ("charges/{charge}/pay", {"count": 0}, 422, "count is invalid"),
    ("charges/{charge}/pay", {"count": "2"}, 422, "count is invalid"),
    ("charges/{charge}/pay", {"notify": "later"}, 422, "notify is invalid"),
    ("charges/{charge}/pay", {"payer_document": "12345678901"}, 422, "payer_document is invalid"),
    ("charges/{charge}/pay", {"payer_name": 7}, 422, "payer_name must be a string"),
    ("charges/{charge}/pay", {"delay_ms": -1}, 422, "delay_ms is invalid"),
    ("charges/none/pay", {}, 404, "Transaction not found"),
    ("charges/none/expire", {}, 404, "Transaction not found"),
    ("receipts", {"amount": 1}, 400, "The pix_key field is required"),
    ("receipts", {"pix_key": KEY}, 400, "The amount field is required"),
    ("receipts", {"pix_key": KEY, "amount": 1, "label": "x" * 36}, 422, "label must be at most 35 characters"),
    ("payouts/none/settle", {}, 404, "Transaction not found"),
    ("payouts/none/settle", {"outcome": "maybe"}, 422, "outcome is invalid"),
    ("payouts/none/settle", {"outcome": "failed", "code": "XX99"}, 422, "code is invalid"),
    ("payouts/none/return", {}, 404, "Transaction not found"),
    ("refunds/none/settle", {}, 404, "Transaction not found"),
    ("med", {}, 400, "The end_to_end_id field is required"),
    ("med", {"end_to_end_id": "E1"}, 404, "Transaction not found"),
    ("med", {"end_to_end_id": "E1", "reason": "ANGER"}, 422, "reason is invalid"),
    ("med/MED20260307001/resolve", {}, 400, "The result field is required"),
    ("med/MED20260307001/resolve", {"result": "AGREED"}, 404, "MED not found"),
    ("med/MED20260307001/resolve", {"result": "MAYBE"}, 422, "result is invalid"),
    ("fund", {}, 400, "The amount field is required"),
    ("fund", {"amount": "1"}, 422, "amount must be an integer number of centavos"),
    ("faults", {"fault": "drop"}, 400, "The operation field is required"),
    ("faults", {"operation": "token"}, 400, "The fault field is required"),
    ("faults", {"operation": "token", "fault": "reorder"}, 422, "fault is invalid"),
    ("faults", {"operation": "nothing", "fault": "drop"}, 422, "fault is invalid"),
    ("faults", {"operation": "token", "fault": "drop", "count": 101}, 422, "count is invalid"),
    ("faults", {"operation": "token", "fault": "drop", "match": []}, 422, "match is invalid"),
    ("faults", {"operation": "token", "fault": "drop", "match": {"colour": "red"}}, 422, "match is invalid"),
    ("faults", {"operation": "token", "fault": "drop", "match": {"amount": [1]}}, 422, "match is invalid"),
]


async def test_what_is_wrong_is_refused_in_a_sentence(counter: Counter) -> None:
    charge = await charged(counter)
    for path, fields, code, detail in WRONG:
        declined(await counter.ask("POST", f"/sandbox/{path.format(charge=charge)}", fields), code, detail)
    assert await counter.events() == ["pix.charge.created"]
    assert (await counter.fine("GET", "/sandbox/faults"))["faults"] == []


@pytest.mark.checklist("X54")
async def test_for_live_credentials_there_is_no_sandbox(counter: Counter) -> None:
    _, live = await live_credential(counter)
    missed = {"error": {"status": 404, "message": "Not found"}}
    for operation in sandbox.OPERATIONS:
        answer = await counter.ask(operation.method, operation.path.replace("{id}", "x"), by=live)
        assert (answer.status, answer.json()) == (404, missed), operation.path
    assert (await counter.ask("POST", "/sandbox/anything", by=live)).json() == missed


@pytest.mark.checklist("X54", "X44")
async def test_sandbox_money_never_appears_in_live_answers(counter: Counter) -> None:
    """One merchant id in both modes: nothing of its sandbox is seen with a live credential of it."""
    await counter.fine("POST", "/sandbox/fund", {"amount": 100_000})
    charge = await charged(counter, external_id="order-9876")
    paid = await counter.fine("POST", f"/sandbox/charges/{charge}/pay")
    payout = await counter.fine("POST", "/pix/cash-out", {"amount": 100, "pix_key": "fulano@example.com"})
    await counter.goes_on()
    med = await counter.fine("POST", "/sandbox/med", {"end_to_end_id": paid["end_to_end_ids"][0]})
    made = await counter.fine("POST", "/webhooks", {"url": "https://shop.example/hook"})
    _, live = await live_credential(counter)
    await counter.shop.run(
        "update pix_credential set merchant_id = :id, check_ips = 0 where client_id = :client_id",
        id=counter.shop.merchant.owner.merchant_id,
        client_id=live[0],
    )

    async def seen(path: str) -> Response:
        return await counter.ask("GET", path, by=live)

    assert (await seen("/balance")).json() == {
        "worked": True, "balance": 0, "available": 0, "pending": 0, "currency": "BRL",
    }  # fmt: skip
    for path, field in (
        ("/transactions", "data"),
        ("/statement", "data"),
        ("/transactions?external_id=order-9876", "data"),
        (f"/transactions/tag/{charge[:10]}", "data"),
        ("/pix/keys", "keys"),
        ("/med", "meds"),
        ("/webhooks", "webhooks"),
    ):
        assert (await seen(path)).json()[field] == [], path
    for path in (
        f"/transactions/{charge}",
        f"/transactions/{payout['transaction_id']}",
        f"/transactions/e2e/{paid['end_to_end_ids'][0]}",
        "/transactions/ref/order-9876",
        f"/transactions/{charge}/receipt",
        f"/med/{med['med_id']}",
        f"/webhooks/{made['id']}",
        f"/webhooks/{made['id']}/deliveries",
    ):
        assert (await seen(path)).status == 404, path


async def test_a_key_makes_a_simulated_payer_pay_once(counter: Counter) -> None:
    charge = await charged(counter)
    keyed = {"idempotency-key": "pay-1"}
    first = await counter.ask("POST", f"/sandbox/charges/{charge}/pay", headers=keyed)
    again = await counter.ask("POST", f"/sandbox/charges/{charge}/pay", headers=keyed)
    await counter.goes_on()
    assert (first.body, again.headers["x-idempotent-replay"]) == (again.body, "true")
    assert (await counter.balance())["balance"] == 300_000


async def test_what_waits_for_hours_still_arrives(counter: Counter) -> None:
    charge = await charged(counter)
    await counter.fine("POST", f"/sandbox/charges/{charge}/pay", {"delay_ms": 60_000})
    await counter.goes_on()
    assert await status(counter, charge) == "active"
    await counter.goes_on(rounds=2, each_us=MINUTE)
    assert await status(counter, charge) == "completed"
