"""Payments' use cases: one function, one transaction (merchant-api.md §10).

Every state change holds the payment's row lock, its journal and its event. Ids, keys and the time are arguments.

create, amend; draft, place, store_new              what a merchant asks for
open_session, note_submission                the payer's tries
end_try, close_try, leave_try                how they end
conclude, receive, claimed                   what gateways said, and money that arrived
cancel, expire, run_out                      an end without money
"""

from opentill.payments.service.endings import cancel, expire, require_cancellable, run_out
from opentill.payments.service.orders import amend, create, draft, place, store_new
from opentill.payments.service.outcomes import claimed, conclude, conversion_at, receive, reviews_late
from opentill.payments.service.tries import (
    CALL_OVER,
    close_try,
    end_try,
    leave_try,
    note_submission,
    open_session,
    require_gateway,
)

__all__ = [
    "CALL_OVER",
    "amend",
    "cancel",
    "claimed",
    "close_try",
    "conclude",
    "conversion_at",
    "create",
    "draft",
    "end_try",
    "expire",
    "leave_try",
    "note_submission",
    "open_session",
    "place",
    "receive",
    "require_cancellable",
    "require_gateway",
    "reviews_late",
    "run_out",
    "store_new",
]
