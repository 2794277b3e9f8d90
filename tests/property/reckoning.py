"""The books worked out a second time, from what the outside world paid. Slow, obvious, and nothing of the product's.

Nothing here imports code that posts, prices or verifies: rows are read as they are, and money is counted in units of
1/100 of the minor unit with `Decimal` where something is divided.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from opentill.db import ReadTx

Row = Mapping[str, Any]
Truth = Mapping[tuple[str, str, str], int]
TABLES = ("journal", "posting", "ledger_account", "receipt", "payment", "fee_rule", "event", "pix_charge", "refund")
NEW_BALANCE = {"booked": "available", "held": "held", "suspense": "suspense"}


class Books:
    """Every row that has to do with money."""

    def __init__(self, tx: ReadTx) -> None:
        self.rows: dict[str, list[Row]] = {
            table: [dict(row) for row in tx.all(f"select * from {table}")] for table in TABLES
        }
        self.accounts = {row["id"]: row for row in self.rows["ledger_account"]}
        self.postings: dict[int, list[Row]] = defaultdict(list)
        for posting in self.rows["posting"]:
            self.postings[posting["journal_id"]].append(posting)
        self.payments = {row["id"]: row for row in self.rows["payment"]}
        self.receipts = {row["id"]: row for row in self.rows["receipt"]}
        self.refunds: dict[int, list[Row]] = defaultdict(list)
        for refund in self.rows["refund"]:
            self.refunds[refund["receipt_id"]].append(refund)


def faults(books: Books, truth: Truth, *, settled: bool, returned: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for everything that is not as it should be. *settled*: nothing is under way any more."""
    yield from journals_that_do_not_balance(books)
    yield from balances_that_are_not_the_sum(books)
    yield from receipts_the_world_does_not_know(books, truth)
    yield from clearing_without_a_receipt(books)
    yield from balances_the_receipts_do_not_explain(books)
    yield from payments_and_receipts_that_disagree(books)
    yield from refunds_the_world_does_not_know(books, returned, settled=settled)
    yield from totals_the_refunds_do_not_explain(books)
    if settled:
        yield from money_that_was_lost(books, truth)
        yield from work_left_undone(books)


def journals_that_do_not_balance(books: Books) -> Iterator[str]:
    for journal in books.rows["journal"]:
        lines = books.postings[journal["id"]]
        if len(lines) < 2 or sum(line["units"] for line in lines) != 0:
            yield f"journal {journal['id']} holds {[line['units'] for line in lines]}"
        for line in lines:
            account = books.accounts[line["account_id"]]
            if any(account[name] != journal[name] for name in ("merchant_id", "mode", "currency")):
                yield f"journal {journal['id']} posts to the account of somebody else"
    totals: Counter[str] = Counter()
    for posting in books.rows["posting"]:
        totals[books.accounts[posting["account_id"]]["currency"]] += posting["units"]
    for currency, total in totals.items():
        if total:
            yield f"all postings in {currency} add up to {total}"


def balances_that_are_not_the_sum(books: Books) -> Iterator[str]:
    sums: Counter[int] = Counter()
    for posting in books.rows["posting"]:
        sums[posting["account_id"]] += posting["units"]
    for account in books.rows["ledger_account"]:
        if account["balance_units"] != sums[account["id"]]:
            yield f"account {account['id']} says {account['balance_units']}, not {sums[account['id']]}"


def receipts_the_world_does_not_know(books: Books, truth: Truth) -> Iterator[str]:
    for receipt in books.rows["receipt"]:
        paid = truth.get(name_of(receipt))
        if paid != receipt["units"]:
            yield f"receipt {receipt['id']} is of {receipt['units']}, the world paid {paid}"


def clearing_without_a_receipt(books: Books) -> Iterator[str]:
    """Each journal takes exactly one receipt out of clearing, and each receipt is taken by exactly one journal."""
    explained: Counter[int] = Counter()
    by_source = receipts_by_source(books)
    for journal in books.rows["journal"]:
        lines = [
            line for line in books.postings[journal["id"]] if books.accounts[line["account_id"]]["kind"] == "clearing"
        ]
        if journal["source_type"] == "refund":
            yield from refund_journal_faults(books, journal, lines)
            continue
        receipt = by_source.get((journal["source_type"], journal["source_id"]))
        if receipt is None or len(lines) != 1:
            yield f"journal {journal['id']} moves clearing {len(lines)} times, for {receipt and receipt['id']}"
            continue
        explained[receipt["id"]] += 1
        account = books.accounts[lines[0]["account_id"]]
        gateway = f"{receipt['gateway']}:{receipt['account']}" if receipt["account"] else receipt["gateway"]
        if (account["gateway"], -lines[0]["units"]) != (gateway, receipt["units"]):
            yield f"journal {journal['id']} takes {lines[0]['units']} from {account['gateway']}"
    for receipt in books.rows["receipt"]:
        if explained[receipt["id"]] != 1:
            yield f"receipt {receipt['id']} is in {explained[receipt['id']]} journals"


def balances_the_receipts_do_not_explain(books: Books) -> Iterator[str]:
    expected: Counter[tuple[int, int, str, str, str]] = Counter()
    for receipt in books.rows["receipt"]:
        owner = (receipt["merchant_id"], receipt["mode"], receipt["currency"])
        clearing = f"{receipt['gateway']}:{receipt['account']}" if receipt["account"] else receipt["gateway"]
        fee = fee_of(books, receipt) if receipt["state"] == "booked" else 0
        if receipt["fee_units"] != fee:
            yield f"receipt {receipt['id']} of {receipt['units']} costs {receipt['fee_units']}, not {fee}"
        expected[*owner, "clearing", clearing] -= receipt["units"]
        expected[*owner, NEW_BALANCE[receipt["state"]], ""] += receipt["units"] - fee
        expected[*owner, "fees", ""] += fee
        for refund in books.refunds[receipt["id"]]:
            held = refund["hold"] == "held" and refund["status"] == "pending"
            gone = refund["status"] == "completed"
            expected[*owner, "held", ""] += refund["charge_units"] * held
            expected[*owner, "clearing", clearing] += refund["charge_units"] * gone
            expected[*owner, "fees", ""] -= refund["fee_units"] * gone
            expected[*owner, "available", ""] -= refund["charge_units"] * (held or gone) - refund["fee_units"] * gone
    stored = {
        (a["merchant_id"], a["mode"], a["currency"], a["kind"], a["gateway"]): a["balance_units"]
        for a in books.rows["ledger_account"]
    }
    for name in expected.keys() | stored.keys():
        if expected[name] != stored.get(name, 0):
            yield f"{name} holds {stored.get(name, 0)}, the receipts say {expected[name]}"


def payments_and_receipts_that_disagree(books: Books) -> Iterator[str]:
    charged: Counter[int] = Counter()
    for receipt in books.rows["receipt"]:
        payment = books.payments.get(receipt["payment_id"])
        if receipt["origin"] == "charge" and receipt["state"] == "booked":
            charged[receipt["payment_id"]] += 1
            if payment is None or (payment["units"], payment["fee_units"]) != (receipt["units"], receipt["fee_units"]):
                yield f"receipt {receipt['id']} completed a payment of another amount or fee"
        if receipt["state"] == "held" and (payment is None or payment["units"] == receipt["units"]):
            yield f"receipt {receipt['id']} is held although its amount is right"
        if receipt["origin"] == "repeat" and (payment is None or payment["status"] != "completed"):
            yield f"receipt {receipt['id']} repeats the payment of what is not paid"
    told = Counter(
        event["object_id"]
        for event in books.rows["event"]
        if event["type"] == "payment.completed" and event["object_type"] == "payment"
    )
    for payment in books.rows["payment"]:
        paid = 1 if payment["status"] == "completed" else 0
        if (charged[payment["id"]], told[payment["uuid"]]) != (paid, paid):
            yield f"payment {payment['id']} is {payment['status']} with {charged[payment['id']]} receipts"


def refund_journal_faults(books: Books, journal: Row, lines: list[Row]) -> Iterator[str]:
    """A completed refund, and no other, gives its amount back to the clearing account its money came through."""
    refund = next((row for row in books.rows["refund"] if row["uuid"] == journal["source_id"]), None)
    wanted = journal["kind"] == "refund.completed"
    if refund is None or len(lines) != wanted or (refund["status"] == "completed") < wanted:
        yield f"journal {journal['id']} is of refund {refund and refund['id']} and moves clearing {len(lines)} times"
        return
    receipt = books.receipts[refund["receipt_id"]]
    gateway = f"{receipt['gateway']}:{receipt['account']}" if receipt["account"] else receipt["gateway"]
    for line in lines:
        if (books.accounts[line["account_id"]]["gateway"], line["units"]) != (gateway, refund["charge_units"]):
            yield f"journal {journal['id']} gives {line['units']} back, not {refund['charge_units']} to {gateway}"


def refunds_the_world_does_not_know(books: Books, returned: Mapping[str, int], *, settled: bool) -> Iterator[str]:
    for refund in books.rows["refund"]:
        if refund["gateway"] != "sandbox":
            continue
        back = returned.get(refund["uuid"], 0)
        if refund["status"] == "completed" and back != refund["charge_units"]:
            yield f"refund {refund['id']} is of {refund['charge_units']}, the world gave {back} back"
        if refund["status"] == "failed" and back:
            yield f"refund {refund['id']} failed, and the world gave {back} back"
        if settled and refund["status"] == "pending":
            yield f"refund {refund['id']} is still pending"
    known = {refund["uuid"] for refund in books.rows["refund"]}
    yield from (f"{uuid} went back and nobody asked" for uuid in sorted(returned.keys() - known))


def totals_the_refunds_do_not_explain(books: Books) -> Iterator[str]:
    for receipt in books.rows["receipt"]:
        living = [refund for refund in books.refunds[receipt["id"]] if refund["status"] != "failed"]
        total = sum(refund["charge_units"] for refund in living)
        if receipt["refunding_units"] != total or total > receipt["units"]:
            yield f"receipt {receipt['id']} of {receipt['units']} gives {receipt['refunding_units']} back, not {total}"
        fees = sum(refund["fee_units"] for refund in living)
        if fees > receipt["fee_units"] or (total == receipt["units"] and fees != receipt["fee_units"]):
            yield f"refunds of receipt {receipt['id']} give {fees} of {receipt['fee_units']} back"
        payment = books.payments.get(receipt["payment_id"])
        if payment is not None and receipt["origin"] == "charge" and receipt["state"] == "booked":
            done = sum(refund["units"] for refund in living if refund["status"] == "completed")
            if (payment["refunding_units"], payment["refunded_units"]) != (sum(r["units"] for r in living), done):
                yield f"payment {payment['id']} says {payment['refunded_units']} of it went back, not {done}"


def money_that_was_lost(books: Books, truth: Truth) -> Iterator[str]:
    known = {name_of(receipt) for receipt in books.rows["receipt"]}
    yield from (f"{name} was paid and never arrived" for name in sorted(truth.keys() - known))


def work_left_undone(books: Books) -> Iterator[str]:
    for payment in books.rows["payment"]:
        if payment["status"] in ("pending", "processing") and payment["detail"] != "pending_review":
            yield f"payment {payment['id']} is still {payment['status']}"
    for charge in books.rows["pix_charge"]:
        if charge["state"] in ("creating", "active", "paying"):
            yield f"charge {charge['id']} is still {charge['state']}"


def name_of(receipt: Row) -> tuple[str, str, str]:
    return receipt["gateway"], receipt["account"], receipt["ref"]


def receipts_by_source(books: Books) -> dict[tuple[str, str], Row]:
    """Return which receipt a journal is about, by the journal's source."""
    found: dict[tuple[str, str], Row] = {}
    for receipt in books.rows["receipt"]:
        if receipt["origin"] == "charge" and receipt["state"] == "booked":
            found["payment", books.payments[receipt["payment_id"]]["uuid"]] = receipt
        else:
            found["receipt", str(receipt["id"])] = receipt
    return found


def fee_of(books: Books, receipt: Row) -> int:
    """Return the fee of a receipt by the rule that says most about it, worked out in decimals."""
    fitting = [
        rule
        for rule in books.rows["fee_rule"]
        if rule["merchant_id"] in (None, receipt["merchant_id"])
        and rule["gateway"] in (None, receipt["gateway"])
        and rule["currency"] in (None, receipt["currency"])
    ]
    if not fitting:
        return 0
    rule = max(
        fitting, key=lambda r: (r["merchant_id"] is not None, r["gateway"] is not None, r["currency"] is not None)
    )
    exact = rule["fixed_units"] + Decimal(receipt["units"]) * rule["basis_points"] / 10_000
    step = 1 if receipt["gateway"] == "pix" else 100
    fee = (exact / step).quantize(Decimal(1), ROUND_HALF_UP) * step
    fee = max(fee, rule["min_units"] or 0)
    if rule["max_units"] is not None:
        fee = min(fee, rule["max_units"])
    return int(min(fee, receipt["units"]))
