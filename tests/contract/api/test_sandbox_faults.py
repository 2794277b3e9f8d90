"""Every fault of every operation of the sandbox bank: nothing is done twice, and whatever is unknown is found out
by reading (pix-api.md §19.4).
"""

from pathlib import Path
from typing import Any

import pytest

from opentill.db import Database
from opentill.kernel.clock import HOUR, MINUTE
from opentill.sandbox_psp.faults import PAIRS
from tests.contract.api.counter import Counter, open_counter

pytestmark = pytest.mark.anyio

RECEIVED, RETURNED, SENT = 3_000, 500, 1_000  # centavos of each round
LIES = {"receipt.read": {"wrong_amount"}}  # what the bank says when asked is what counts, so a person decides
FAULTS_OF_THE_API = {
    "charge.create", "charge.cancel", "charge.read", "payout.submit", "payout.query", "refund.submit", "refund.query",
    "receipt.notify", "payout.notify", "sweep.read", "token",
}  # fmt: skip


async def insists(counter: Counter, path: str, fields: dict[str, Any] | None, key: str) -> dict[str, Any]:
    """Ask under one idempotency key until it is done, as a merchant's program does."""
    for _ in range(8):
        answer = await counter.ask("POST", path, fields, headers={"idempotency-key": key})
        if answer.status == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert answer.status in (422, 503), (path, answer.body)
        await counter.goes_on(rounds=1, each_us=MINUTE)
    raise AssertionError(f"{path} was never done")


async def plays(counter: Counter, name: str) -> None:
    """Receive, give a part back, send, and cancel a charge."""
    charge = await insists(counter, "/pix/cash-in", {"amount": RECEIVED, "external_id": name}, f"in {name}")
    await counter.fine("POST", f"/sandbox/charges/{charge['transaction_id']}/pay")
    await counter.goes_on()
    await counter.catches_up(rounds=2)
    asked = {"original_transaction_id": charge["transaction_id"], "amount": RETURNED}
    await insists(counter, "/pix/refund", asked, f"back {name}")
    await insists(
        counter, "/pix/cash-out", {"amount": SENT, "pix_key": "fulano@example.com", "external_id": name}, f"out {name}"
    )
    await counter.goes_on()
    unwanted = await insists(counter, "/pix/cash-in", {"amount": 100, "external_id": name}, f"unwanted {name}")
    path = f"/pix/cash-in/{unwanted['transaction_id']}/cancel"
    for _ in range(8):
        if (await counter.ask("POST", path)).status in (200, 422):
            break
        await counter.goes_on(rounds=1, each_us=MINUTE)
    await counter.catches_up()


async def agree(counter: Counter, rounds: int) -> None:
    """The bank and we say the same of everything, everything is over, and each was done once."""
    shop = counter.shop
    bank = await shop.bank_books()
    rows = await shop.rows("select id, state from pix_payout order by id")
    ours = {row["id"]: row["state"] for row in rows}
    theirs = {row["ref"]: row["status"] for row in bank["payouts"]}
    assert set(ours.values()) <= {"completed", "failed"}, ours
    assert {ref for ref, state in ours.items() if state == "completed"} == {
        ref for ref, status in theirs.items() if status == "REALIZADO"
    }
    assert "EM_PROCESSAMENTO" not in theirs.values()
    assert len(ours) == rounds

    refunds = {row["public_id"]: row["status"] for row in await shop.rows("select public_id, status from refund")}
    returns = {row["id"]: row["status"] for row in bank["returns"]}
    assert set(refunds.values()) <= {"completed", "failed"}, refunds
    assert {ref for ref, state in refunds.items() if state == "completed"} == {
        ref for ref, status in returns.items() if status == "DEVOLVIDO"
    }
    assert len(refunds) == rounds

    charges = [row["state"] for row in await shop.rows("select state from pix_charge")]
    assert set(charges) <= {"completed", "cancelled", "rejected", "expired"}, charges
    assert charges.count("completed") == rounds
    statuses = [row["status"] for row in bank["charges"]]
    assert (statuses.count("CONCLUIDA"), statuses.count("ATIVA")) == (rounds, 0)
    assert len(await shop.receipts()) == len(bank["receipts"]) == rounds

    gone = RETURNED * list(refunds.values()).count("completed") + SENT * list(ours.values()).count("completed")
    left = rounds * RECEIVED - gone
    assert await shop.books() == {"bank": -left, "available": left}
    assert await counter.balance() == {"balance": left * 100, "available": left * 100, "pending": 0}
    events = await counter.events()
    assert events.count("pix.charge.paid") == rounds
    assert events.count("pix.payout.confirmed") + events.count("pix.payout.failed") == rounds
    assert events.count("pix.refund.requested") == rounds


@pytest.mark.checklist("X55")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("operation", PAIRS)
async def test_every_fault_of_an_operation_ends_well(database: Database, tmp_path: Path, operation: str) -> None:
    async with open_counter(database, tmp_path) as counter:
        for rounds, fault in enumerate(sorted(PAIRS[operation] - LIES.get(operation, set())), 1):
            counter.shop.passes(2 * HOUR)  # tokens are asked for anew
            await counter.fine(
                "POST", "/sandbox/faults", {"operation": operation, "fault": fault, "count": 2, "delay_ms": 10}
            )
            await plays(counter, f"{operation}-{fault}")
            await counter.fine("DELETE", "/sandbox/faults")
            await counter.catches_up()
            try:
                await agree(counter, rounds)
            except AssertionError as found:
                found.add_note(f"after {fault} of {operation}")
                raise


@pytest.mark.checklist("X55")
async def test_a_bank_that_says_another_amount_when_asked_has_the_money_wait_for_a_person(
    database: Database, tmp_path: Path
) -> None:
    async with open_counter(database, tmp_path) as counter:
        charge = await counter.fine("POST", "/pix/cash-in", {"amount": RECEIVED})
        await counter.fine("POST", "/sandbox/faults", {"operation": "receipt.read", "fault": "wrong_amount"})
        await counter.fine("POST", f"/sandbox/charges/{charge['transaction_id']}/pay", {"notify": "twice"})
        await counter.goes_on()
        await counter.catches_up()
        found = await counter.fine("GET", f"/transactions/{charge['transaction_id']}")
        held = (RECEIVED + 1) * 100
        assert found["data"]["status"] == "pending"
        assert await counter.balance() == {"balance": held, "available": 0, "pending": held}
        assert await counter.events() == ["pix.charge.created"]
        assert await counter.shop.reviews() == ["amount differs"]


def test_every_operation_of_the_document_can_go_wrong() -> None:
    assert PAIRS.keys() >= FAULTS_OF_THE_API
