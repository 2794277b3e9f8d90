"""SQL of payouts and what came back of them. Private to this folder."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, Final

from opentill.db import ReadTx, Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.pix.keys import KeyType
from opentill.pix.model import BRL
from opentill.pix.payouts.model import Failure, Payout, State
from opentill.pix.port import PayoutReturn, Target, ToAccount, ToCode, ToKey
from opentill.pix.store import none_of

PAYOUT: Final = """
        select p.*, (select m.uuid from merchant m where m.id = p.merchant_id) as merchant_uuid from pix_payout p
"""


def insert(tx: Tx, payout: Payout) -> None:
    tx.run(
        """
        insert into pix_payout (id, uuid, merchant_id, mode, account_id, state, units, fee_units, target,
                                recipient_key, description, external_id, end_to_end_id, recipient_name,
                                recipient_document, created_by, due_at, created_at, updated_at)
        values (:id, :uuid, :merchant_id, :mode, :account_id, :state, :units, :fee_units, :target,
                :recipient_key, :description, :external_id, :end_to_end_id, :recipient_name,
                :recipient_document, :created_by, :due_at, :created_at, :created_at)
        """,
        id=payout.id,
        uuid=payout.uuid,
        **payout.owner.columns,
        account_id=payout.account_id,
        state=payout.state.value,
        units=payout.amount.units,
        fee_units=payout.fee.units,
        target=written(payout.target),
        recipient_key=payout.recipient_key,
        description=payout.description,
        external_id=payout.external_id,
        end_to_end_id=payout.end_to_end_id,
        recipient_name=payout.recipient_name,
        recipient_document=payout.recipient_document,
        created_by=payout.created_by,
        due_at=payout.due_at,
        created_at=payout.created_at,
    )


def update(tx: Tx, payout: Payout) -> None:
    """Save where a payout stands. Its row is locked."""
    failure = payout.failure
    tx.run(
        """
        update pix_payout
           set state = :state, returned_units = :returned_units, end_to_end_id = :end_to_end_id,
               recipient_name = :recipient_name, recipient_document = :recipient_document,
               failure_reason = :failure_reason, failure_code = :failure_code, retryable = :retryable,
               decided_by = :decided_by, decision_reason = :decision_reason, due_at = :due_at, tries = :tries,
               submitted_at = :submitted_at, queued_at = :queued_at, updated_at = :updated_at,
               completed_at = :completed_at, failed_at = :failed_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=payout.id,
        **payout.owner.columns,
        state=payout.state.value,
        returned_units=payout.returned.units,
        end_to_end_id=payout.end_to_end_id,
        recipient_name=payout.recipient_name,
        recipient_document=payout.recipient_document,
        failure_reason=failure.reason if failure else None,
        failure_code=failure.code if failure else None,
        retryable=int(failure.retryable) if failure else None,
        decided_by=payout.decided_by,
        decision_reason=payout.decision_reason,
        due_at=payout.due_at,
        tries=payout.tries,
        submitted_at=payout.submitted_at,
        queued_at=payout.queued_at,
        updated_at=payout.updated_at,
        completed_at=payout.completed_at,
        failed_at=payout.failed_at,
    )


def find(tx: ReadTx, payout_id: str, *, owner: Owner) -> Payout | None:
    return _one(tx, payout_id, owner)


def lock(tx: Tx, payout_id: str, *, owner: Owner) -> Payout | None:
    """Load an owner's payout and lock its row. Accounts are locked after it."""
    return _one(tx, payout_id, owner, for_update(tx))


def by_id(tx: ReadTx, payout_id: str) -> Payout | None:
    """Return a payout of any owner: for jobs, which start from a bank's word."""
    row = tx.one_or_none(f"{PAYOUT} where p.id = :id", id=payout_id)
    return as_payout(row) if row else None


def due(tx: ReadTx, *, now: Instant, limit: int, but: Collection[int] = ()) -> Sequence[Payout]:
    """Return payouts of all owners that somebody must look at now, oldest first, *but* not those of some accounts."""
    rows = tx.all(
        f"{PAYOUT} where p.due_at <= :now{none_of(but)} order by p.due_at, p.id limit :limit", now=now, limit=limit
    )
    return sorted(map(as_payout, rows), key=lambda payout: (payout.created_at, payout.id))


def sent_since(tx: ReadTx, since: Instant, *, owner: Owner) -> Money:
    """Return the sum of what an owner asked to be sent since an instant, without what failed."""
    row = tx.one_or_none(
        """
        select coalesce(sum(units), 0) as units from pix_payout
         where merchant_id = :merchant_id and mode = :mode and created_at >= :since and state <> 'failed'
        """,
        since=since,
        **owner.columns,
    )
    return Money(int(row["units"]) if row else 0, BRL)


def submitted_since(tx: ReadTx, since: Instant, *, owner: Owner) -> int:
    row = tx.one_or_none(
        """
        select count(*) as n from pix_payout
         where merchant_id = :merchant_id and mode = :mode and submitted_at > :since
        """,
        since=since,
        **owner.columns,
    )
    return int(row["n"]) if row else 0


def insert_return(tx: Tx, payout: Payout, came_back: PayoutReturn, *, public_id: str, uuid: str, now: Instant) -> bool:
    """Record what came back, once per return id; return whether it was new."""
    return (
        tx.run(
            """
            insert into pix_payout_return (id, uuid, payout_id, merchant_id, mode, account_id, return_id, units,
                                           reason, returned_at, created_at)
            values (:id, :uuid, :payout_id, :merchant_id, :mode, :account_id, :return_id, :units,
                    :reason, :returned_at, :now)
            on conflict (account_id, return_id) do nothing
            """,
            id=public_id,
            uuid=uuid,
            payout_id=payout.id,
            **payout.owner.columns,
            account_id=payout.account_id,
            return_id=came_back.return_id,
            units=came_back.amount_centavos * 100,
            reason=came_back.reason,
            returned_at=came_back.returned_at,
            now=now,
        )
        == 1
    )


def written(target: Target) -> str:
    """Return a target as the JSON that is stored."""
    kind = {ToKey: "key", ToCode: "code", ToAccount: "account"}[type(target)]
    return json.dumps({"kind": kind, **asdict(target)})


def as_payout(row: Row) -> Payout:
    failure = None
    if row["failure_code"] is not None:
        failure = Failure(row["failure_reason"], row["failure_code"], bool(row["retryable"]))
    return Payout(
        id=row["id"],
        uuid=row["uuid"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        merchant_uuid=row["merchant_uuid"],
        account_id=row["account_id"],
        state=State(row["state"]),
        amount=Money(row["units"], BRL),
        fee=Money(row["fee_units"], BRL),
        returned=Money(row["returned_units"], BRL),
        target=_target(row["target"]),
        failure=failure,
        **{name: row[name] for name in _PLAIN},
    )


_PLAIN: Final = (
    "recipient_key",
    "description",
    "external_id",
    "end_to_end_id",
    "recipient_name",
    "recipient_document",
    "created_by",
    "decided_by",
    "decision_reason",
    "due_at",
    "tries",
    "submitted_at",
    "queued_at",
    "created_at",
    "updated_at",
    "completed_at",
    "failed_at",
)


def _one(tx: ReadTx, payout_id: str, owner: Owner, lock: str = "") -> Payout | None:
    row = tx.one_or_none(
        f"{PAYOUT} where p.id = :id and p.merchant_id = :merchant_id and p.mode = :mode{lock}",
        id=payout_id,
        **owner.columns,
    )
    return as_payout(row) if row else None


def _target(text: str) -> Target:
    stored: dict[str, Any] = json.loads(text)
    match stored.pop("kind"):
        case "key":
            return ToKey(stored["key"], KeyType(stored["type"]))
        case "code":
            return ToCode(**stored)
        case _:
            return ToAccount(**stored)
