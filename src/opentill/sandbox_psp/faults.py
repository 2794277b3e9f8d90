"""Faults that tests script: each is used so many times, in order of creation, and then is gone (§19.4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import render

ALWAYS: Final = 1_000  # per mille

_BROKEN: Final = {"timeout_before", "timeout_after", "drop", "delay", "truncated", "html_200"}
_STATUSES: Final = {"http_400", "http_401", "http_409", "http_429", "http_500", "http_503"}
_ANY_CALL: Final = _BROKEN | _STATUSES
_WITH_AMOUNT: Final = _ANY_CALL | {"wrong_amount"}

_NOTICE: Final = {"duplicate", "reorder", "wrong_amount", "drop", "delay"}

PAIRS: Final[dict[str, set[str]]] = {
    "token": _ANY_CALL,
    "charge.create": _WITH_AMOUNT | {"duplicate"},
    "charge.cancel": _ANY_CALL,
    "charge.read": _WITH_AMOUNT,
    "receipt.read": _WITH_AMOUNT,
    "sweep.read": _WITH_AMOUNT,
    "refund.submit": _WITH_AMOUNT | {"duplicate"},
    "refund.query": _WITH_AMOUNT,
    "payout.submit": _WITH_AMOUNT | {"duplicate"},
    "payout.query": _WITH_AMOUNT,
    "receipt.notify": _NOTICE,
    "payout.notify": _NOTICE,
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
        insert into fault (account_id, operation, fault, match, delay_ms, count, per_mille)
        values (:account_id, :operation, :fault, :match, :delay_ms, :count, :per_mille)
        """,
        account_id=account_id,
        operation=operation,
        fault=kind,
        match=render(asked.get("match") or {}),
        delay_ms=int(asked.get("delay_ms", 0)),
        count=int(asked.get("count", 1)),
        per_mille=int(asked.get("per_mille", ALWAYS)),
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
        if _fits(frame, account_id, wanted, about) and _strikes(frame, row["per_mille"]):
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


def note_reference(frame: Frame, account_id: int, name: str, external_id: str) -> None:
    """Remember what the merchant calls a charge or a payout."""
    frame.store.run(
        """
        insert into reference (account_id, name, external_id) values (:account_id, :name, :external_id)
        on conflict (account_id, name) do update set external_id = excluded.external_id
        """,
        account_id=account_id,
        name=name,
        external_id=external_id,
    )


def _fits(frame: Frame, account_id: int | None, wanted: Mapping[str, Any], about: Mapping[str, str]) -> bool:
    """Tell whether something is what a fault is to be matched with."""
    known = dict(about)
    if "external_id" in wanted:
        known["external_id"] = _reference_of(frame, account_id, about)
    return all(known.get(name) == str(value) for name, value in wanted.items())


def _reference_of(frame: Frame, account_id: int | None, about: Mapping[str, str]) -> str:
    row = frame.store.one(
        """
        select external_id from reference
         where account_id = :account_id
           and name in (:txid, :ref, (select txid from receipt where e2e_id = :e2e_id),
                        (select ref from payout where e2e_id = :e2e_id))
        """,
        account_id=account_id,
        **{name: about.get(name, "") for name in ("txid", "ref", "e2e_id")},
    )
    return str(row["external_id"]) if row else ""


def _strikes(frame: Frame, per_mille: int) -> bool:
    return per_mille >= ALWAYS or int(frame.ids.hex(8), 16) % ALWAYS < per_mille


def _use(frame: Frame, fault_id: int) -> None:
    frame.store.run("update fault set used = used + 1 where id = :id", id=fault_id)
    frame.store.run("delete from fault where id = :id and used >= count", id=fault_id)
