"""L8: every payment written as CSV by the database's own shell, rows per second."""

import subprocess
import time
from pathlib import Path

COLUMNS = (
    "uuid, reference, order_id, status, units, currency, fee_units, refunded_units, gateway, created_at, completed_at"
)
SELECT = f"select {COLUMNS} from payment order by id"


def sqlite_rows_per_second(path: Path, output: Path) -> float:
    """Return the speed of the `sqlite3` shell."""
    return timed(["sqlite3", "-csv", "-readonly", str(path), SELECT], output)


def postgres_rows_per_second(programs: Path, url: str, output: Path) -> float:
    """Return the speed of `psql` with `\\copy`."""
    return timed([str(programs / "psql"), url, "-c", f"\\copy ({SELECT}) to stdout with csv"], output)


def timed(command: list[str], output: Path) -> float:
    begin = time.perf_counter()
    with output.open("wb") as file:
        subprocess.run(command, stdout=file, check=True)
    spent = time.perf_counter() - begin
    with output.open("rb") as file:
        return sum(1 for _ in file) / spent
