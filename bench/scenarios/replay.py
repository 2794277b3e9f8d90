"""P8: the same finished request again, beside creating for the first time."""

import secrets
from collections.abc import Sequence

from bench.bar import Bar
from bench.load import KEY
from bench.results import Found
from bench.scenarios.create import CONNECTIONS
from bench.session import Session

REPLAYED = 1000
FIRST_S = 2.0


def measure(wanted: Sequence[Bar], session: Session) -> Sequence[Found]:
    """Create a thousand payments, then send the same requests again and again, in turns with new ones."""
    connections = CONNECTIONS[session.mode]
    merchants = session.merchants
    templates = [
        session.creation.template(merchants[number % len(merchants)]).replace(KEY, secrets.token_hex(16))
        for number in range(REPLAYED)
    ]

    def replay(seconds: float) -> float:
        load = session.load(templates, connections=connections, seconds=seconds)
        session.not_accepted += sum(load.statuses.values()) - load.accepted
        return load.rate

    answered = 0.0
    while answered < len(templates):  # the first answer to each is its creation
        answered += FIRST_S * replay(FIRST_S)
    session.acknowledged += len(templates)

    def create(seconds: float) -> float:
        return session.create(seconds, connections=connections).rate

    series = session.settle({"creation": create, "replay": replay}, [("replay", "creation")])
    size = {"connections": connections, "requests": REPLAYED}
    return [
        session.judge(bar, part, series, ("replay", "creation"), unit="1/s", **size)
        for bar in wanted
        for part in bar.parts_in(session.mode)
    ]
