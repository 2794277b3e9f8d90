"""The auditor of the books: recomputes journals and balances from postings, with slow and obvious code.

It shares nothing with the code that posts: it reads rows and adds them up.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from opentill.db import ReadTx, Row

PAGE: Final = 5_000  # rows read at a time


def find_faults(tx: ReadTx) -> Iterator[str]:
    """Yield a sentence for each journal that does not balance and each balance that is not what it should be."""
    accounts = {row["id"]: row for row in tx.all("select * from ledger_account")}
    sums: dict[int, int] = defaultdict(int)
    for journal, postings in _journals(tx):
        yield from _journal_faults(journal, postings, accounts)
        for posting in postings:
            sums[posting["account_id"]] += posting["units"]
    for account_id, account in accounts.items():
        if account["balance_units"] != sums[account_id]:
            yield (
                f"ledger_account {account_id} ({account['kind']} {account['currency']}) says "
                f"{account['balance_units']}, its postings say {sums[account_id]}"
            )
        if account["kind"] == "held" and account["balance_units"] < 0:
            yield f"ledger_account {account_id} (held {account['currency']}) is below zero"
    totals: dict[str, int] = defaultdict(int)
    for account_id, account in accounts.items():
        totals[account["currency"]] += sums[account_id]
    for currency, total in totals.items():
        if total:
            yield f"all postings in {currency} add up to {total}, not to zero"


def _journals(tx: ReadTx) -> Iterator[tuple[Row, Sequence[Row]]]:
    """Yield each journal with its postings, in order."""
    after = 0
    while page := tx.all("select * from journal where id > :after order by id limit :page", after=after, page=PAGE):
        postings: dict[int, list[Row]] = defaultdict(list)
        for posting in tx.all(
            "select * from posting where journal_id > :after and journal_id <= :last order by journal_id, line",
            after=after,
            last=page[-1]["id"],
        ):
            postings[posting["journal_id"]].append(posting)
        for journal in page:
            yield journal, postings[journal["id"]]
        after = page[-1]["id"]


def _journal_faults(journal: Row, postings: Sequence[Row], accounts: dict[int, Row]) -> Iterator[str]:
    name = f"journal {journal['id']} ({journal['kind']} of {journal['source_type']} {journal['source_id']})"
    total = sum(posting["units"] for posting in postings)
    if total:
        yield f"{name} is out of balance by {total}"
    if len(postings) < 2:
        yield f"{name} has {len(postings)} postings"
    for posting in postings:
        account = accounts.get(posting["account_id"])
        if account is None:
            yield f"{name} posts to an account that does not exist"
        elif (account["merchant_id"], account["mode"], account["currency"]) != (
            journal["merchant_id"],
            journal["mode"],
            journal["currency"],
        ):
            yield f"{name} posts to an account of another merchant, mode or currency"
