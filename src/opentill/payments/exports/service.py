"""Exports in the background: started by somebody, written a page at a time, fetched, forgotten after a week.

A page is read outside the transaction that keeps it, so that a long export holds nobody up; of two processes that read
the same page, one keeps it. What is kept is sealed.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.errors import Conflict
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments.exports import cells, store
from opentill.payments.exports.model import Export, ExportState, Page, Wanted
from opentill.payments.exports.sheets import SHEETS

KEPT: Final = 7 * DAY
SHOWN_MAX: Final = 50
WRITING_MAX: Final = 5  # of one owner at a time


def start(tx: Tx, sheet: str, wanted: Wanted, *, owner: Owner, by: str, ids: Ids, now: Instant) -> Export:
    """Have a sheet written. Raises Conflict where the owner has as many under way as may be."""
    writing = [one for one in of_owner(tx, owner=owner) if one.state is ExportState.WRITING]
    if len(writing) >= WRITING_MAX:
        raise Conflict("TOO_MANY", "%(most)s exports are being written. Wait until one is done.", most=WRITING_MAX)
    export_id = f"exp_{ids.timed_hex()}"
    export = Export(export_id, owner, sheet, wanted, ExportState.WRITING, "", 0, 0, None, by, now, None)
    store.insert(tx, export)
    return export


def under_way(tx: ReadTx) -> Export | None:
    """Return the oldest export that is not finished; None where all are."""
    return store.writing(tx)


def next_page(tx: ReadTx, export: Export, *, now: Instant) -> Page:
    """Read what comes next of an export."""
    return SHEETS[export.sheet].page(tx, export.wanted, export.cursor, export.owner, now)


def keep(tx: Tx, export: Export, page: Page, *, keyring: Keyring, now: Instant) -> None:
    """Keep a page that was read, unless another process was faster."""
    if store.advance(tx, export, page, now=now):
        head = [SHEETS[export.sheet].head] if export.parts == 0 else []
        packed = zlib.compress(cells.lines([*head, *page.lines]))
        store.insert_part(tx, export.id, export.parts, keyring.seal(packed, _context(export.id, export.parts)))


def fail(tx: Tx, export: Export, *, now: Instant) -> None:
    """Give up an export whose page cannot be written, so that those behind it have their turn."""
    store.fail(tx, export, now=now)


def of_owner(tx: ReadTx, *, owner: Owner) -> Sequence[Export]:
    """Return an owner's exports, newest first."""
    return store.of_owner(tx, owner=owner, limit=SHOWN_MAX)


def find(tx: ReadTx, export_id: str, *, owner: Owner) -> Export | None:
    return store.find(tx, export_id, owner=owner)


def part(tx: ReadTx, export_id: str, number: int, *, owner: Owner, keyring: Keyring) -> bytes:
    """Return a part of a sheet; nothing where it was forgotten meanwhile."""
    sealed = store.part(tx, export_id, number, owner=owner)
    return zlib.decompress(keyring.open(sealed, _context(export_id, number))) if sealed else b""


def forget(tx: Tx, *, now: Instant, most: int) -> int:
    """Remove what was exported a week ago, at most so many rows; return how many."""
    before = after(now, -KEPT)
    removed = store.remove_parts(tx, before=before, most=most)
    return removed if removed == most else removed + store.remove(tx, before=before, most=most - removed)


def _context(export_id: str, number: int) -> str:
    return f"export_part.sealed/{export_id}/{number}"
