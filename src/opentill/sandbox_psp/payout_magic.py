"""Amounts and keys that make a payout behave in a certain way (pix-api.md §19.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.pix.rejections import BY_CODE, BY_NUMBER, BY_REASON, Rejection

SETTLES_AFTER: Final = SECOND
REJECTIONS_FROM: Final = 900_000  # and the number of a row of pix-rail.md §10
OURS: Final = range(62, 65)  # rows that only OpenTill itself makes
CODES_HOST: Final = "spi.opentill.test"
REASONS_HOST: Final = "dict.opentill.test"

LOSES_ITS_ANSWER: Final = 910_001
IS_LOST: Final = 910_002
TAKES_30_S: Final = 910_003
RETURNED_WHOLE: Final = 910_004
RETURNED_HALF: Final = 910_005
ALREADY_EXISTS: Final = 910_006
HELD_5_S: Final = 910_007
CONFIRMED_FIRST: Final = 910_008
CONFIRMED_THRICE: Final = 910_009
REPORTS_MORE: Final = 910_010
WAITS: Final = 910_011

SUBMIT_FAULTS: Final = {LOSES_ITS_ANSWER: "timeout_after", IS_LOST: "timeout_before"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a payout some time after it was taken."""

    detail: Mapping[str, Any]
    delay_us: int = SETTLES_AFTER


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What becomes of a payout: refused at once, or a list of steps. *already* answers that it exists."""

    steps: tuple[Step, ...] = ()
    refused: str | None = None
    already: bool = False


DONE: Final = Step({"status": "REALIZADO"})
_BY_AMOUNT: Final = {
    TAKES_30_S: Behaviour((Step(DONE.detail, 30 * SECOND),)),
    RETURNED_WHOLE: Behaviour((DONE, Step({"returned": None}, SETTLES_AFTER + 2 * SECOND))),
    RETURNED_HALF: Behaviour((DONE, Step({"returned": RETURNED_HALF // 2}, SETTLES_AFTER + 2 * SECOND))),
    ALREADY_EXISTS: Behaviour((DONE,), already=True),
    HELD_5_S: Behaviour((Step({"status": "RETIDO"}, 0), Step(DONE.detail, 5 * SECOND))),
    CONFIRMED_FIRST: Behaviour((Step(DONE.detail, 0),)),
    CONFIRMED_THRICE: Behaviour((Step({**DONE.detail, "copies": 3}),)),
    WAITS: Behaviour(),
}


def behaviour_of(amount: int, key: str | None) -> Behaviour:
    """Return what becomes of a payout. Keys win over amounts."""
    row = _of_key(key or "") or BY_NUMBER.get(amount - REJECTIONS_FROM)
    if row is None or row.number in OURS:
        return _BY_AMOUNT.get(amount, Behaviour((DONE,)))
    if row.code is None:  # our own bank or the key directory: nothing is ever sent
        return Behaviour(refused=row.reason)
    return Behaviour((Step({"status": "NAO_REALIZADO", "code": row.code}),))


def _of_key(key: str) -> Rejection | None:
    word, _, host = key.partition("@")
    if host == CODES_HOST:
        return BY_CODE.get(word.upper())
    if host == REASONS_HOST:
        return BY_REASON.get(word.replace("-", "_"))
    return None
