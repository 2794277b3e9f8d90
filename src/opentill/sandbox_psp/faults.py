"""Faults that tests script: each is used so many times, in order of creation, and then is gone (§19.4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import render

_BROKEN: Final = {"timeout_before", "timeout_after", "drop", "delay", "truncated", "html_200"}
_STATUSES: Final = {"http_400", "http_401", "http_409", "http_429", "http_500", "http_503"}
_ANY_CALL: Final = _BROKEN | _STATUSES
_WITH_AMOUNT: Final = _ANY_CALL | {"wrong_amount"}

PAIRS: Final[dict[str, set[str]]] = {
    "token": _ANY_CALL,
    "charge.create": _WITH_AMOUNT | {"duplicate"},
    "charge.cancel": _ANY_CALL,
    "charge.read": _WITH_AMOUNT,
    "receipt.read": _WITH_AMOUNT,
    "sweep.read": _WITH_AMOUNT,
    "receipt.notify": {"duplicate", "wrong_amount", "drop", "delay"},
}


class UnknownFault(ValueError):  # noqa: N818 - it says what was asked for
    """No such fault for such an operation."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong this time."""

    kind: str
    delay_ms: int = 0


def add(frame: Frame, account_id: int | None, asked: Mapping[str, Any]) -> str:
    """Script a fault for one account or, without one, for all, and return its id. Raises `UnknownFault`."""
    operation, kind = asked.get("operation"), asked.get("fault")
    if kind not in PAIRS.get(str(operation), ()):
        raise UnknownFault(f"{kind} of {operation}")
    number = frame.store.insert(
        """
        insert into fault (account_id, operation, fault, match, delay_ms, count)
        values (:account_id, :operation, :fault, :match, :delay_ms, :count)
        """,
        account_id=account_id,
        operation=operation,
        fault=kind,
        match=render(asked.get("match") or {}),
        delay_ms=int(asked.get("delay_ms", 0)),
        count=int(asked.get("count", 1)),
    )
    return f"flt_{number}"


def take(frame: Frame, account_id: int | None, operation: str, about: Mapping[str, str]) -> Fault | None:
    """Return the fault this operation meets, and count it as used. *about* is what `match` is compared with."""
    rows = frame.store.all(
        """
        select * from fault
         where operation = :operation and (account_id is null or account_id = :account_id)
         order by id
        """,
        operation=operation,
        account_id=account_id,
    )
    for row in rows:
        wanted = json.loads(row["match"])
        if all(about.get(name) == str(value) for name, value in wanted.items()):
            _use(frame, row["id"])
            return Fault(row["fault"], row["delay_ms"])
    return None


def listed(frame: Frame, account_id: int | None) -> list[dict[str, Any]]:
    """Return the faults still to come, of one account or of all."""
    rows = frame.store.all(
        "select * from fault where :account_id is null or account_id = :account_id order by id", account_id=account_id
    )
    return [
        {
            "id": f"flt_{row['id']}",
            "operation": row["operation"],
            "fault": row["fault"],
            "match": json.loads(row["match"]),
            "delay_ms": row["delay_ms"],
            "count": row["count"],
            "used": row["used"],
        }
        for row in rows
    ]


def clear(frame: Frame, account_id: int | None) -> None:
    """Forget the faults of one account, or all."""
    frame.store.run("delete from fault where :account_id is null or account_id = :account_id", account_id=account_id)


def _use(frame: Frame, fault_id: int) -> None:
    frame.store.run("update fault set used = used + 1 where id = :id", id=fault_id)
    frame.store.run("delete from fault where id = :id and used >= count", id=fault_id)
