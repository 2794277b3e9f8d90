"""Rows of exports and of the parts they are written in."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.payments.exports.model import Export, ExportState, Page, Wanted

COLUMNS: Final = """id, merchant_id, mode, sheet, wanted, state, cursor, parts, lines, reached_at, created_by,
               created_at, finished_at"""


def insert(tx: Tx, export: Export) -> None:
    tx.run(
        """
        insert into export (id, merchant_id, mode, sheet, wanted, created_by, created_at)
        values (:id, :merchant_id, :mode, :sheet, :wanted, :created_by, :created_at)
        """,
        id=export.id,
        sheet=export.sheet,
        wanted=json.dumps(asdict(export.wanted)),
        created_by=export.created_by,
        created_at=export.created_at,
        **export.owner.columns,
    )


def writing(tx: ReadTx) -> Export | None:
    """Return the oldest export that is not finished."""
    row = tx.one_or_none(f"select {COLUMNS} from export where state = 0 order by created_at, id limit 1")
    return _as_export(row) if row else None


def advance(tx: Tx, export: Export, page: Page, *, now: Instant) -> bool:
    """Note that a page was written; tell whether it was the first to be, for two processes may have read the same."""
    done = page.cursor is None
    return bool(
        tx.run(
            """
            update export set cursor = :cursor, parts = parts + 1, lines = lines + :lines, state = :state,
                   reached_at = coalesce(:reached_at, reached_at), finished_at = :finished_at
             where id = :id and state = 0 and parts = :parts
            """,
            id=export.id,
            cursor=page.cursor or "",
            lines=len(page.lines),
            state=int(ExportState.DONE if done else ExportState.WRITING),
            reached_at=page.reached_at,
            finished_at=now if done else None,
            parts=export.parts,
        )
    )


def fail(tx: Tx, export: Export, *, now: Instant) -> None:
    """Give an export up, unless another process has written on in it."""
    tx.run(
        "update export set state = :failed, finished_at = :now where id = :id and state = 0 and parts = :parts",
        id=export.id,
        failed=int(ExportState.FAILED),
        now=now,
        parts=export.parts,
    )


def insert_part(tx: Tx, export_id: str, number: int, sealed: str) -> None:
    tx.run(
        "insert into export_part (export_id, number, sealed) values (:export_id, :number, :sealed)",
        export_id=export_id,
        number=number,
        sealed=sealed,
    )


def part(tx: ReadTx, export_id: str, number: int, *, owner: Owner) -> str | None:
    row = tx.one_or_none(
        """
        select p.sealed from export_part p join export e on e.id = p.export_id
         where p.export_id = :id and p.number = :number and e.merchant_id = :merchant_id and e.mode = :mode
        """,
        id=export_id,
        number=number,
        **owner.columns,
    )
    return row["sealed"] if row else None


def find(tx: ReadTx, export_id: str, *, owner: Owner) -> Export | None:
    row = tx.one_or_none(
        f"select {COLUMNS} from export where id = :id and merchant_id = :merchant_id and mode = :mode",
        id=export_id,
        **owner.columns,
    )
    return _as_export(row) if row else None


def of_owner(tx: ReadTx, *, owner: Owner, limit: int) -> Sequence[Export]:
    """Return an owner's exports, newest first."""
    rows = tx.all(
        f"""
        select {COLUMNS} from export where merchant_id = :merchant_id and mode = :mode
         order by created_at desc, id desc limit :limit
        """,
        limit=limit,
        **owner.columns,
    )
    return [_as_export(row) for row in rows]


def remove_parts(tx: Tx, *, before: Instant, most: int) -> int:
    """Remove parts of exports made before an instant; return how many."""
    return tx.run(
        """
        delete from export_part where (export_id, number) in (
          select p.export_id, p.number from export e join export_part p on p.export_id = e.id
           where e.created_at < :before limit :most)
        """,
        before=before,
        most=most,
    )


def remove(tx: Tx, *, before: Instant, most: int) -> int:
    """Remove exports made before an instant, whose parts are gone; return how many."""
    return tx.run(
        """
        delete from export where id in (
          select id from export where created_at < :before limit :most)
        """,
        before=before,
        most=most,
    )


def _as_export(row: Row) -> Export:
    return Export(
        id=row["id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        sheet=row["sheet"],
        wanted=Wanted(**json.loads(row["wanted"])),
        state=ExportState(row["state"]),
        cursor=row["cursor"],
        parts=int(row["parts"]),
        lines=int(row["lines"]),
        reached_at=row["reached_at"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
