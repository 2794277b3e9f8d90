"""Deliveries that are not over, or ended badly, read through the index of their state.

PostgreSQL knows how rare they are. SQLite does not, and would walk everything that was ever delivered.
"""

from collections.abc import Mapping
from typing import Final

from opentill.db import ReadTx
from opentill.db.dialect import by_index
from opentill.webhooks.model import DeliveryState

# An index over part of a table is used where its condition stands word by word.
_FOUND: Final[Mapping[DeliveryState, tuple[str, str]]] = {
    DeliveryState.DUE: ("wd_due", "state = 0"),
    DeliveryState.SENDING: ("wd_sending", "state = 1"),
    DeliveryState.DEAD: ("wd_unhappy", "state in (3, 4) and state = 3"),
    DeliveryState.HELD: ("wd_unhappy", "state in (3, 4) and state = 4"),
}


def in_state(tx: ReadTx, state: DeliveryState) -> str:
    """Return the deliveries in a state as a table expression; those that went well or were cancelled have no index."""
    if state not in _FOUND:
        return f"(select * from webhook_delivery where state = {state:d})"
    index, condition = _FOUND[state]
    return f"(select * from webhook_delivery{by_index(tx, index)} where {condition})"
