"""The statement trace, from which the benchmarks take the SQL that their limits run."""

import json
from pathlib import Path

from opentill.db import open_database

INSERT = """
    insert into merchant (uuid, slug, name, mode, sealed_secret, created_at)
    values (:name, :name, :name, 1, '', :now)
    returning id
"""


async def test_a_trace_holds_each_unit_with_its_values_and_answers(database_url: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    async with open_database(database_url, trace=str(trace)) as database:
        row = await database.write(lambda tx: tx.one_or_none(INSERT, name="abc", now=7))
        await database.read(lambda tx: tx.all("select cast(:text as text) as text", text="x"))
    assert row is not None

    written, read = map(json.loads, trace.read_text().splitlines())
    assert written["kind"] == "write"
    assert written["statements"][0]["sql"] == INSERT
    assert written["statements"][0]["params"] == {"name": "abc", "now": 7}
    assert written["statements"][0]["columns"] == ["id"]
    assert written["statements"][0]["rows"] == [[row["id"]]]
    assert read["kind"] == "read"
    assert read["statements"][0]["rows"] == [["x"]]
