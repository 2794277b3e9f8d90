"""What charges of both kinds have in common: how the books keep them, and how they are read and listed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opentill.sandbox_psp import locations, paging, revisions
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.charge_rules import REMOVED_BY_USER
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import Answer, Request, json_answer, render
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import complete as complete_receipt
from opentill.sandbox_psp.store import Row


@dataclass(frozen=True, slots=True)
class Kind:
    """`cob` or `cobv`: the names of its refusals, and how a write answers a charge of it."""

    name: str
    missing: str
    bad_query: str
    document: Callable[[Frame, Account, Row], dict[str, Any]]


def find(frame: Frame, document: str, txid: str) -> Row | None:
    """Return the charge of a txid, which is used once per document, whatever its kind."""
    return frame.store.one(
        "select * from charge where document = :document and txid = :txid", document=document, txid=txid
    )


def owned(frame: Frame, account: Account, kind: Kind, txid: str) -> Row:
    """Return a charge of the account. Raises the kind's problem where there is none."""
    charge = find(frame, account.document, txid)
    if charge is None or charge["account_id"] != account.id or charge["kind"] != kind.name:
        raise Problem(kind.missing)
    return charge


def read(frame: Frame, account: Account, kind: Kind, request: Request) -> Answer:
    """Answer a charge, or one of its earlier revisions."""
    charge = owned(frame, account, kind, request.parts[-1])
    earlier = revisions.asked(frame, charge, request, problem=kind.bad_query)
    return earlier or json_answer(200, _complete(frame, account, kind, charge))


def listed(frame: Frame, account: Account, kind: Kind, request: Request) -> Answer:
    """List the account's charges of a kind by instant of creation."""
    window = paging.read_window(request.query, kind.bad_query)
    tail = """
        from charge
       where account_id = :account_id and kind = :kind and created_at between :start and :end
         and (:status is null or status = :status)
         and (:cpf is null or json_extract(body, '$.devedor.cpf') = :cpf)
         and (:cnpj is null or json_extract(body, '$.devedor.cnpj') = :cnpj)
         and (:with_location is null
              or exists (select 1 from location where charge_id = charge.id) = (:with_location = 'true'))
       order by created_at, id
    """
    given = {
        "account_id": account.id,
        "kind": kind.name,
        "status": request.query.get("status"),
        "cpf": request.query.get("cpf"),
        "cnpj": request.query.get("cnpj"),
        "with_location": request.query.get("locationPresente"),
    }
    rows, paged = paging.page(frame, window, tail, given)
    shown = paging.echoed(request.query, window, paged, ("cpf", "cnpj", "status"), ("locationPresente",))
    return json_answer(200, {"parametros": shown, "cobs": [_complete(frame, account, kind, row) for row in rows]})


def insert(
    frame: Frame, account: Account, kind: Kind, txid: str, columns: Mapping[str, Any], loc: Mapping[str, Any] | None
) -> Row:
    """Keep a new charge, at the location it names or at one of its own."""
    charge = frame.store.all(
        """
        insert into charge (account_id, document, txid, kind, status, amount, key, expires_in_s, body, place,
                            created_at)
        values (:account_id, :document, :txid, :kind, 'ATIVA', :amount, :key, :expires_in_s, :body, :place, :now)
        returning *
        """,
        account_id=account.id,
        document=account.document,
        txid=txid,
        kind=kind.name,
        place=locations.new_place(frame, kind.name),
        now=frame.now(),
        **columns,
    )[0]
    if loc is None:
        locations.make_for(frame, charge)
    else:
        locations.bind(frame, charge, loc["id"])
    return charge


def change(
    frame: Frame,
    account: Account,
    kind: Kind,
    charge: Row,
    columns: Mapping[str, Any],
    loc: Mapping[str, Any] | None,
    *,
    put: bool,
) -> Row:
    """Replace what an active charge asks for, and keep how it was. A move to another location is no revision."""
    if any(charge[name] != value for name, value in columns.items()) or (put and loc is None):
        _revise(frame, account, kind, charge, columns)
    if loc is not None:
        locations.bind(frame, charge, loc["id"])
    frame.store.run("update charge set executions = executions + :put where id = :id", put=int(put), id=charge["id"])
    return _charge(frame, charge["id"])


def remove(frame: Frame, account: Account, kind: Kind, charge: Row) -> Row:
    """Remove a charge for its receiver, and keep how it was."""
    _keep_revision(frame, account, kind, charge)
    frame.store.run(
        "update charge set status = :status, revision = revision + 1 where id = :id",
        status=REMOVED_BY_USER,
        id=charge["id"],
    )
    return _charge(frame, charge["id"])


def _revise(frame: Frame, account: Account, kind: Kind, charge: Row, columns: Mapping[str, Any]) -> None:
    _keep_revision(frame, account, kind, charge)
    frame.store.run(
        """
        update charge
           set amount = :amount, key = :key, expires_in_s = :expires_in_s, body = :body, revision = revision + 1
         where id = :id
        """,
        id=charge["id"],
        **columns,
    )


def _charge(frame: Frame, charge_id: int) -> Row:
    return frame.store.all("select * from charge where id = :id", id=charge_id)[0]


def _keep_revision(frame: Frame, account: Account, kind: Kind, charge: Row) -> None:
    frame.store.run(
        "insert into charge_revision (charge_id, revision, answer) values (:id, :revision, :answer)",
        id=charge["id"],
        revision=charge["revision"],
        answer=render(_complete(frame, account, kind, charge)),
    )


def _complete(frame: Frame, account: Account, kind: Kind, charge: Row) -> dict[str, Any]:
    """Return a charge as a read answers it, with what was paid."""
    document = kind.document(frame, account, charge)
    paid = frame.store.all("select * from receipt where charge_id = :id order by id", id=charge["id"])
    return document | {"pix": [complete_receipt(frame, row) for row in paid]} if paid else document
