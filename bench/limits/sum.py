"""L9: the sum of all postings by account, in ms: the least a verification of balances could take."""

import time

from bench.audit import ask

SELECT = "select account_id, sum(units) from posting group by account_id"


def milliseconds(url: str) -> float:
    """Return how long the database takes to add up every account."""
    begin = time.perf_counter()
    ask(url, SELECT)
    return 1000 * (time.perf_counter() - begin)
