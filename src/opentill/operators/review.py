"""What waits for a person: facts that were recorded but could not be booked as asked."""

import json
from collections.abc import Mapping

from opentill.db import Tx
from opentill.kernel.clock import Instant
from opentill.kernel.errors import filled
from opentill.kernel.owner import Owner
from opentill.operators.reasons import Reason


def call_person(
    tx: Tx,
    owner: Owner,
    subject_type: str,
    subject_id: str,
    reason: Reason,
    detail: Mapping[str, object],
    *,
    once: bool = False,
    now: Instant,
    **named: object,
) -> None:
    """Put something on the operators' list, once while the same is open there; or *once* for ever.

    *named* is what the reason names.
    """
    tx.run(
        f"""
        insert into review_item (merchant_id, mode, subject_type, subject_id, reason, detail, created_at)
        select :merchant_id, :mode, :subject_type, :subject_id, :reason, :detail, :now
         where not exists (
               select 1 from review_item
                where merchant_id = :merchant_id and mode = :mode {"" if once else "and resolved_at is null"}
                  and subject_type = :subject_type and subject_id = :subject_id and reason = :reason)
        """,
        **owner.columns,
        subject_type=subject_type,
        subject_id=subject_id,
        reason=filled(reason, named),
        detail=json.dumps(detail),
        now=now,
    )
