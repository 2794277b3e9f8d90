"""The auditor of the audit log: walks the chain from its beginning and names what does not fit."""

from collections.abc import Iterator
from typing import Final

from opentill.db import ReadTx
from opentill.operators.audit import BEGINNING, link

PAGE: Final = 5_000  # entries read at a time


def find_faults(tx: ReadTx) -> Iterator[str]:
    """Yield a sentence for each entry that was changed, dropped, inserted or moved."""
    seq, chain = 0, BEGINNING
    while page := tx.all("select * from audit_entry where seq > :after order by seq limit :page", after=seq, page=PAGE):
        for row in page:
            if row["seq"] != seq + 1:
                yield f"audit_entry {_missing(seq + 1, row['seq'] - 1)} of the chain missing"
            words = tuple(row[name] for name in ("actor", "origin", "action", "subject", "detail", "reason"))
            fits = link(chain, row["seq"], row["at"], words, row["merchant_id"]) == row["chain"]
            if not fits and row["seq"] == seq + 1:
                yield f"audit_entry {row['id']} ({row['action']} of {row['subject']}) does not fit the chain"
            seq, chain = row["seq"], row["chain"]
    yield from _head_faults(tx, seq, chain)
    for row in tx.all("select id from audit_entry where seq is null or seq < 1 order by id limit 100"):
        yield f"audit_entry {row['id']} is not part of the chain"


def _head_faults(tx: ReadTx, seq: int, chain: str) -> Iterator[str]:
    """Compare the last entry with what the chain says its last one is."""
    head = tx.one_or_none("select seq, chain from audit_head where id = 1")
    last, value = (head["seq"], head["chain"]) if head else (0, BEGINNING)
    if last > seq:
        yield f"audit_entry {_missing(seq + 1, last)} of the chain missing"
    elif (last, value) != (seq, chain):
        yield f"audit_head says {last}, the last audit_entry of the chain is {seq}, or their values differ"


def _missing(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"
