"""Reading merchants for other features. Read-only."""

import json

from opentill.db import ReadTx
from opentill.kernel.owner import Owner


def outbound_allow(tx: ReadTx, owner: Owner) -> tuple[str, ...]:
    """Return the hosts and networks that an operator opened for a merchant's receivers."""
    row = tx.one_or_none("select outbound_allow from merchant where id = :id", id=owner.merchant_id)
    return tuple(json.loads(row["outbound_allow"])) if row else ()
