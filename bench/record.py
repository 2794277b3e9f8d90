"""Records the statements of a real request (bars.md §2), so that the limits run the product's own SQL.

python -m bench.record --db sqlite      prints them, with where each value comes from
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.cluster import Cluster
from bench.product import Install, Merchant, Server, serving
from bench.renewal import Recording, Traced, TracedUnit, renewable
from bench.scenarios.requests import Creation
from bench.statements import Request

QUIET_S = 0.01
"""What the product does after its answer is over by then."""

TRIES_MAX = 20

Send = Callable[[Server, Merchant], None]


def record(install: Install, merchants: Sequence[Merchant], send: Send) -> Request:
    """Have each merchant send the same request and return its statements, ready to be repeated.

    A first request each, not kept, fills what the product keeps in memory for a moment. No worker runs, so what
    is written between a request and its answer belongs to it.
    """
    trace = install.data / "statements.jsonl"
    with serving(install, workers=False, OPENTILL_TRACE_SQL=str(trace)) as server:

        def pair(merchant: Merchant) -> tuple[Recording, Recording]:
            send(server, merchant)
            time.sleep(QUIET_S)
            return two_alike(lambda: recorded(trace, send, server, merchant))

        recordings = [pair(merchant) for merchant in merchants]
        # On a busy machine a merchant's requests may come so far apart that memory has to be filled each time.
        shortest = min((texts(one) for one, _ in recordings), key=len)
        for number, merchant in enumerate(merchants):
            for _ in range(TRIES_MAX):
                if texts(recordings[number][0]) == shortest:
                    break
                recordings[number] = pair(merchant)
    trace.unlink()
    return renewable(recordings)


def two_alike(once: Callable[[], Recording]) -> tuple[Recording, Recording]:
    """Record twice; once more where one of the two also ran what the product does once in a while for everybody."""
    while texts(one := once()) != texts(other := once()):
        pass
    return one, other


def texts(recording: Recording) -> Sequence[str]:
    return [traced.sql for unit in recording for traced in unit.statements]


def recorded(trace: Path, send: Send, server: Server, merchant: Merchant) -> Recording:
    before = trace.stat().st_size if trace.exists() else 0
    send(server, merchant)
    with trace.open("rb") as file:
        file.seek(before)
        return [unit(json.loads(line, object_hook=from_hex)) for line in file]


def unit(found: dict) -> TracedUnit:  # type: ignore[type-arg]
    return TracedUnit(found["kind"], found["at"], [Traced(**statement) for statement in found["statements"]])


def from_hex(found: dict) -> object:  # type: ignore[type-arg]
    return bytes.fromhex(found["hex"]) if found.keys() == {"hex"} else found


def described(request: Request) -> str:
    """Return the statements as text: each with its parameters and where their values come from."""
    lines = []
    for unit in request.units:
        lines.append(f"-- {unit.kind}")
        for statement in unit.statements:
            lines.append(" ".join(statement.sql.split()) + ";")
            for name, parameter in statement.parameters.items():
                kinds = [piece.kind for piece in parameter.pieces]
                lines.append(f"--   :{name}  {parameter.form}: {', '.join(kinds)}")
    return "\n".join([*lines, f"-- {len(request.statements)} statements in {len(request.units)} units of work"])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--db", choices=["sqlite", "postgres"], default="sqlite")
    arguments.add_argument("--merchants", type=int, default=3)
    chosen = arguments.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opentill-bench-", dir="/var/tmp")))
        url = stack.enter_context(Cluster(work)).create("opentill") if chosen.db == "postgres" else ""
        install = Install(work / "data", url)
        merchants = install.add_merchants(chosen.merchants)
        print(described(record(install, merchants, Creation().send)))


if __name__ == "__main__":
    main()
