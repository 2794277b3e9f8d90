"""Rotating the secret of an endpoint (webhooks.md §6.5)."""

from dataclasses import dataclass
from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import SECOND, Instant, after
from opentill.kernel.errors import Fault, Invalid
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret
from opentill.webhooks import endpoint_secrets
from opentill.webhooks.model import OWNER, By, Dialect, Endpoint
from opentill.webhooks.service.endpoints import lock, note, store_secret
from opentill.webhooks.store import endpoints as store

OVERLAP_DEFAULT_S: Final = 86_400
OVERLAP_MAX_S: Final = 604_800


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new secret, shown only now, until when the previous one signs too, and whether an older one ended by this."""

    endpoint: Endpoint
    secret: Secret
    previous_until: Instant | None
    ended_older: bool


def rotate_secret(
    tx: Tx,
    *,
    owner: Owner,
    dialect: Dialect,
    endpoint_id: int | str,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
    overlap_s: int = OVERLAP_DEFAULT_S,
    secret: str | None = None,
    by: By = OWNER,
) -> Rotated:
    """Give an endpoint a new secret, which signs at once; the previous one signs beside it for the overlap.

    With overlap 0 the previous one is destroyed. Raises `EndpointNotFound` or `Invalid`.
    """
    endpoint = lock(tx, owner=owner, dialect=dialect, endpoint_id=endpoint_id)
    faults = _faults(secret, overlap_s, dialect)
    if faults:
        raise Invalid(faults)
    chosen = Secret(secret) if secret is not None else endpoint_secrets.generate(dialect, ids)
    ended_older = store.delete_retiring_secrets(tx, endpoint.id, now=now)
    until = after(now, overlap_s * SECOND) if overlap_s else None
    before = store.retire_secret(tx, endpoint.id, until=until)
    store_secret(tx, endpoint.id, chosen, keyring=keyring, now=now)
    reach("rotate")
    store.touch(tx, endpoint.id)
    detail = {"before": before, "after": endpoint_secrets.fingerprint(chosen), "overlap_s": overlap_s}
    note(tx, by, "webhook.rotate_secret", endpoint, detail, now=now)
    return Rotated(endpoint, chosen, until, ended_older)


def _faults(secret: str | None, overlap_s: int, dialect: Dialect) -> list[Fault]:
    faults = []
    if not 0 <= overlap_s <= OVERLAP_MAX_S:
        text = f"overlap_seconds must be between 0 and {OVERLAP_MAX_S}"
        faults.append(Fault("overlap_seconds", "VALIDATION_FAILED", text))
    wrong = None if secret is None else endpoint_secrets.fault_of(secret, dialect)
    if wrong is not None:
        faults.append(Fault("secret", "INVALID_SECRET", wrong))
    return faults
