"""A bank that lies: answers lost after and before the fact, said twice, one centavo off, cut, or HTML (bar C7).

Whatever it says, nobody is charged, paid or given back twice, every doubt ends in a read, and no wrong amount counts.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

import pytest

from opentill.db import Database, Options, open_database
from opentill.kernel.clock import MINUTE, SECOND
from opentill.kernel.errors import Busy, Refused
from opentill.payments import flow
from opentill.payments.pix import flow as pix_flow
from opentill.pix.identifiers import charge_id_of
from opentill.pix.model import Charge, State
from tests.usecases.pix.shop import Shop, open_shop

AT_ONCE: Final = 64
BATCH: Final = 250  # payments between two looks at the bank's list of requests, which it keeps for a while
LIFETIME_S: Final = 3_600
UNPAID: Final = 0.1  # of the charges nobody pays
WAITS: Final = (SECOND, 3 * SECOND, 11 * SECOND, 31 * SECOND, 4 * MINUTE, 11 * MINUTE)

# Per mille of the calls of each kind (bars.md, C7).
LIES: Final = {"timeout_after": 100, "timeout_before": 50, "wrong_amount": 20, "html_200": 10, "truncated": 10}
TOLD_TWICE: Final = {"duplicate": 30}
NOTICES: Final = {"drop": 50, "duplicate": 30, "wrong_amount": 20}
SCRIPT: Final = {
    "charge.create": LIES | TOLD_TWICE,
    "charge.read": LIES,
    "charge.cancel": {name: LIES[name] for name in ("timeout_after", "timeout_before", "html_200", "truncated")},
    "receipt.read": LIES,
    "sweep.read": {name: LIES[name] for name in ("timeout_before", "html_200", "truncated")},
    "receipt.notify": NOTICES,
}


PAYOUT_SCRIPT: Final = {
    "payout.submit": LIES | TOLD_TWICE,
    "payout.query": LIES,
    "payout.notify": NOTICES,
}
PAYOUT_BATCH: Final = 100
REFUND_SCRIPT: Final = {
    "refund.submit": LIES | TOLD_TWICE,
    "refund.query": LIES,
    "receipt.read": {name: LIES[name] for name in ("timeout_after", "timeout_before", "html_200", "truncated")},
    "sweep.read": {name: LIES[name] for name in ("timeout_before", "html_200", "truncated")},
    "receipt.notify": NOTICES,
}
PARTS: Final = 10  # of one receipt
PART_MAX: Final = 9_000  # centavos
REFUND_WAITS: Final = (0, SECOND, 5 * SECOND, 16 * SECOND, 31 * SECOND, MINUTE, 2 * MINUTE)
CHARGES_SENT: Final = "/api/v2/cob/%"
PAYOUTS_SENT: Final = "/envio/v1/pix/%"
RETURNS_SENT: Final = "/api/v2/pix/%/devolucao/%"
AGREED: Final = {("completed", "REALIZADO"), ("completed", "DEVOLVIDO"), ("failed", "")}


@dataclass(frozen=True)
class Truth:
    """What really happened, from the bank's own books."""

    charges: dict[str, tuple[str, int]]  # by our charge id: its state there, and how often it was made
    receipts: dict[str, tuple[str | None, int]]  # by end-to-end id: txid and centavos


@pytest.mark.bar("C7", gate=1_000, target=10_000, quick=60)
async def test_a_lying_bank_makes_nobody_pay_twice(
    database_url: str, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance = Random(bar_seed)
    outcomes: Counter[str] = Counter()
    async with (
        open_database(database_url, options=Options(writers=8)) as database,
        open_shop(database, tmp_path, seed=bar_seed % 10_000) as shop,
    ):
        await let_lie(shop)
        seen = 0
        for begin in range(0, bar_size, BATCH):
            outcomes += await trade(shop, chance, min(BATCH, bar_size - begin))
            seen = nothing_was_sent_in_doubt(tmp_path, CHARGES_SENT, seen)
        await shop.sim_delete("faults")
        await settle(shop)
        await all_is_known(shop, truth_of(tmp_path))
        await shop.books()
    bar_note(f"{bar_size} payments: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))


@pytest.mark.bar("C7", gate=1_000, target=10_000, quick=40)
async def test_a_lying_bank_sends_no_payout_twice(
    database_url: str, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance = Random(bar_seed)
    async with (
        open_database(database_url, options=Options(writers=8)) as database,
        open_shop(database, tmp_path, seed=bar_seed % 10_000) as shop,
    ):
        shop.at_sandbox = True
        await shop.funds("9000000.00")
        await let_lie(shop, PAYOUT_SCRIPT)
        sent: dict[str, int] = {}
        seen = 0
        for begin in range(0, bar_size, PAYOUT_BATCH):
            for _ in range(min(PAYOUT_BATCH, bar_size - begin)):
                amount = chance.randrange(1_000, 60_000)
                payout = await shop.sends(f"{amount // 100}.{amount % 100:02}")
                sent[payout.id] = amount
            await pay_out(shop)
            seen = nothing_was_sent_in_doubt(tmp_path, PAYOUTS_SENT, seen)
        await shop.sim_delete("faults")
        for _ in range(3):
            await pay_out(shop)
        outcomes = await every_payout_is_known(shop, tmp_path, sent)
        await shop.books()
    bar_note(f"{bar_size} payouts: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))


@pytest.mark.bar("C7", gate=1_000, target=10_000, quick=40)
async def test_a_lying_bank_gives_nothing_back_twice(
    database_url: str, tmp_path: Path, bar_size: int, bar_seed: int, bar_note: Callable[[str], None]
) -> None:
    chance = Random(bar_seed)
    async with (
        open_database(database_url, options=Options(writers=8)) as database,
        open_shop(database, tmp_path, seed=bar_seed % 10_000) as shop,
    ):
        await let_lie(shop, REFUND_SCRIPT)
        asked: dict[str, int] = {}
        seen = 0
        for begin in range(0, bar_size, PAYOUT_BATCH):
            for _ in range(begin, min(begin + PAYOUT_BATCH, bar_size), PARTS):
                charge = await shop.charges("900.00", expires_in_s=LIFETIME_S)
                await shop.payer_pays(charge)
                await until_booked(shop, charge)
                for _ in range(min(PARTS, bar_size - len(asked))):
                    amount = chance.randrange(1_000, PART_MAX)
                    refund = await shop.gives_back(charge.id, f"{amount // 100}.{amount % 100:02}")
                    asked[str(refund.public_id)] = amount
            await give_back(shop)
            seen = nothing_was_sent_in_doubt(tmp_path, RETURNS_SENT, seen)
        await shop.sim_delete("faults")
        for _ in range(4):
            await give_back(shop)
        outcomes = await every_refund_is_known(shop, tmp_path, asked)
        await shop.books()
    bar_note(f"{bar_size} refunds: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))


async def until_booked(shop: Shop, charge: Charge) -> None:
    """Have a payment found, by whichever way the bank tells the truth first."""
    while await shop.state(charge) is not State.COMPLETED:
        await go_on(shop, 16 * SECOND)


async def give_back(shop: Shop) -> None:
    """Let four minutes of refunds pass: they are asked about, sent, settled and told of."""
    for wait in REFUND_WAITS:
        await shop.asks_about_refunds(after_us=wait)
        await pix_flow.confirm_due_hints(shop.tools)


async def every_refund_is_known(shop: Shop, folder: Path, asked: dict[str, int]) -> Counter[str]:
    """Check that both sides agree about each refund, and that each left once; return how many ended how."""
    with closing(sqlite3.connect(folder / "bank.db")) as books:
        returns = books.execute("select ref, status, amount from return").fetchall()
    there = {ref: (status, amount) for ref, status, amount in returns}
    assert len(there) == len(returns)
    rows = await shop.rows("select public_id, status, charge_units from refund")
    here = {row["public_id"]: row["status"] for row in rows}
    assert here.keys() == asked.keys() >= there.keys()
    assert {row["public_id"]: row["charge_units"] for row in rows} == {ref: 100 * asked[ref] for ref in asked}
    for ref, status in here.items():
        said, amount = there.get(ref, ("", asked[ref]))
        assert amount == asked[ref]
        assert (status, said) in AGREED, f"{ref} is {status} here and {said or 'unknown'} there"
    return Counter(here.values())


async def pay_out(shop: Shop) -> None:
    """Let two minutes of payouts pass: they are sent, settled, asked about, and told of."""
    for wait in (0, *[2 * SECOND] * 8, 30 * SECOND, 31 * SECOND, MINUTE):
        await shop.pays_out(after_us=wait)
        await shop.rings()
        await pix_flow.confirm_due_hints(shop.tools)


async def every_payout_is_known(shop: Shop, folder: Path, sent: dict[str, int]) -> Counter[str]:
    """Check that both sides agree about each payout; return how many ended how."""
    with closing(sqlite3.connect(folder / "bank.db")) as books:
        there = {
            ref: (status, amount) for ref, status, amount in books.execute("select ref, status, amount from payout")
        }
    here = {row["id"]: row["state"] for row in await shop.rows("select id, state from pix_payout")}
    assert here.keys() == sent.keys()
    assert there.keys() <= here.keys()
    for payout_id, state in here.items():
        status, amount = there.get(payout_id, ("", sent[payout_id]))
        assert amount == sent[payout_id]
        assert (state, status) in AGREED, f"{payout_id} is {state} here and {status or 'unknown'} there"
    return Counter(here.values())


async def let_lie(shop: Shop, script: Mapping[str, Mapping[str, int]] = SCRIPT) -> None:
    for operation, lies in script.items():
        for lie, per_mille in lies.items():
            await shop.fault(operation, lie, per_mille=per_mille, count=10**9)


async def trade(shop: Shop, chance: Random, count: int) -> Counter[str]:
    """Charge, pay and confirm, all while the bank lies."""
    slots = asyncio.Semaphore(AT_ONCE)
    amounts = [chance.randrange(20_000, 90_000) for _ in range(count)]

    async def charge(amount: int) -> Charge | str:
        async with slots:
            try:
                return await shop.charges(f"{amount // 100}.{amount % 100:02}", expires_in_s=LIFETIME_S)
            except (Busy, Refused) as no:
                return no.code

    made = await asyncio.gather(*(charge(amount) for amount in amounts))
    charges = [each for each in made if isinstance(each, Charge)]
    for each in charges:
        if chance.random() > UNPAID:
            await shop.payer_pays(each)
    for wait in WAITS:
        await go_on(shop, wait)
    return Counter("charged" if isinstance(each, Charge) else each for each in made)


async def go_on(shop: Shop, wait: int) -> None:
    shop.passes(wait)
    await shop.rings()
    await pix_flow.confirm_due_hints(shop.tools)
    await pix_flow.look_at_due(shop.tools)
    await pix_flow.sweep(shop.tools)


async def settle(shop: Shop) -> None:
    """Go on with a bank that tells the truth, until nothing is left to be asked."""
    for wait in (*WAITS, LIFETIME_S * SECOND, 16 * MINUTE, 16 * MINUTE, 16 * MINUTE):
        while await pix_flow.look_at_due(shop.tools) >= pix_flow.BATCH:
            pass
        await go_on(shop, wait)
        await flow.expire_due(shop.tools)


def truth_of(folder: Path) -> Truth:
    with closing(sqlite3.connect(folder / "bank.db")) as books:
        charges = books.execute("select txid, status, executions from charge").fetchall()
        receipts = books.execute("select e2e_id, txid, amount from receipt").fetchall()
    return Truth(
        {charge_id_of(txid) or txid: (status, executions) for txid, status, executions in charges},
        {e2e_id: (txid, amount) for e2e_id, txid, amount in receipts},
    )


def nothing_was_sent_in_doubt(folder: Path, sent: str, seen: int) -> int:
    """Check that nothing was sent again but after a read that proved it absent; return how far was looked.

    *sent* is the path of what is sent, with wildcards; it is read at the same.
    """
    with closing(sqlite3.connect(folder / "bank.db")) as books:
        rows = books.execute(
            "select id, method, path, status from request where id > ? and path like ? order by id", [seen, sent]
        ).fetchall()
    asked: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for _, method, path, status in rows:
        asked[path].append((method, status))
    for path, calls in asked.items():
        puts = [at for at, (method, _) in enumerate(calls) if method == "PUT"]
        for first, second in pairwise(puts):
            proof = calls[second - 1] if second - first > 1 else None
            assert proof == ("GET", 404), f"{path} was sent again in doubt: {calls}"
    return max((row[0] for row in rows), default=seen)


async def all_is_known(shop: Shop, truth: Truth) -> None:
    """Check that no doubt is left, nothing happened twice, and the books say what the bank's do."""
    for charge_id, (_, executions) in truth.charges.items():
        assert executions == 1, f"{charge_id} was made {executions} times"

    open_states = await shop.rows("select id, state from pix_charge where state in ('creating', 'active', 'paying')")
    assert [(row["id"], row["state"]) for row in open_states] == []
    hints = await shop.rows("select ref from pix_hint where due_at is not null")
    assert [row["ref"] for row in hints] == []

    booked = await shop.rows("select ref, units, state, origin from receipt")
    assert Counter(row["ref"] for row in booked) == Counter(truth.receipts.keys())
    wrong = [row for row in booked if row["units"] != truth.receipts[row["ref"]][1] * 100]
    assert [row["ref"] for row in wrong if row["state"] == "booked"] == [], "a wrong amount counts as paid"

    given_up = await shop.rows("select id from pix_charge where state = 'rejected'")
    still_payable = [row["id"] for row in given_up if truth.charges.get(row["id"], ("", 0))[0] == "ATIVA"]
    assert still_payable == [], "charges given up here can be paid there"


async def test_the_check_sees_a_charge_that_was_sent_again_without_a_read(database: Database, tmp_path: Path) -> None:
    async with open_shop(database, tmp_path) as shop:
        charge = await shop.charges()
        again = {"valor": {"original": "30.00"}, "chave": charge.key}
        await shop.bank_call("PUT", f"/api/v2/cob/ot{charge.id}", again)
        with pytest.raises(AssertionError, match="sent again in doubt"):
            nothing_was_sent_in_doubt(tmp_path, CHARGES_SENT, 0)
        assert truth_of(tmp_path).charges[charge.id][1] == 2
