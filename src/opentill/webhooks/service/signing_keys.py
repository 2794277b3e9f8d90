"""The Ed25519 keys of a merchant, rotated so that no receiver meets one it cannot know (webhooks.md §6.4)."""

from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import HOUR, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.operators import audit
from opentill.operators.model import Change
from opentill.webhooks.model import OWNER, By
from opentill.webhooks.signing_keys import new_key
from opentill.webhooks.store import endpoints, keys

KNOWN_AFTER: Final = 24 * HOUR  # from the publication of a key to its first signature
OVERLAP: Final = 24 * HOUR  # in which both sign


def rotate_signing_key(
    tx: Tx, *, owner: Owner, ids: Ids, keyring: Keyring, now: Instant, revoke_now: bool = False, by: By = OWNER
) -> str:
    """Publish a new key and return its id. It signs from tomorrow on, for a day beside the old one, then alone.

    With *revoke_now* the old keys end at once and the new one signs at once; so does the first key of all.
    """
    endpoints.lock_owner(tx, owner)
    before = [key.kid for key in keys.published(tx, owner, now=now)]
    signs_from = after(now, KNOWN_AFTER) if before and not revoke_now else now
    keys.retire(tx, owner, until=now if revoke_now else after(signs_from, OVERLAP))
    key = new_key(ids, keyring, owner)
    keys.insert(tx, owner, key, signs_from=signs_from, now=now)
    detail = {"before": before, "after": key.kid, "signs_from": signs_from, "revoked": revoke_now}
    merchant_id = owner.merchant_id
    change = Change(by.actor, by.origin, "webhook.rotate_signing_key", key.kid, detail, merchant_id=merchant_id)
    audit.write(tx, change, now=now)
    return key.kid
