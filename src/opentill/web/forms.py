"""Forms: read within limits, made for one page only, and counted once (bars.md §8, column Forms).

A form carries a *key*, which counts it once, and a *digest* over the key and the facts the page showed. A digest
that does not fit means the page is stale, or not ours: it is shown again and nothing is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from opentill.db import Tx
from opentill.kernel.clock import HOUR, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, same

BODY_BYTES_MAX: Final = 64 * 1024
FIELDS_MAX: Final = 50
KEY_HEX: Final = 32
KEPT: Final = 24 * HOUR
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
KEY: Final = "form_key"
DIGEST: Final = "form_digest"

Fields = Mapping[str, str]


async def read(request: Request) -> Fields:
    """Return the fields of a posted form; of a repeated field the last. Raises HTTPException 400, 413 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    if any("\0" in text for pair in pairs for text in pair):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return dict(pairs)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The two hidden fields of one form."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Stamps:
    """Makes and checks the hidden fields."""

    keyring: Keyring
    ids: Ids

    def make(self, action: str, *facts: str) -> Stamp:
        """Return a stamp for a form that does *action* on what the page shows."""
        key = self.ids.hex(KEY_HEX)
        return Stamp(key, self._digest(key, action, facts))

    def fits(self, form: Fields, action: str, *facts: str) -> bool:
        """Tell whether a form was made by us, for this action and these facts."""
        return same(form.get(DIGEST, ""), self._digest(form.get(KEY, ""), action, facts))

    def _digest(self, key: str, action: str, facts: tuple[str, ...]) -> str:
        return self.keyring.keyed_hash("\0".join((key, action, *facts)), "form")


class Use(Enum):
    """Whether a form was seen before."""

    FIRST = "first"
    REPEATED = "repeated"
    CHANGED = "changed"  # the same form with other fields


def use(tx: Tx, form: Fields, scope: str, *, owner: Owner, keyring: Keyring, now: Instant) -> Use:
    """Use a form's key up. Of two at once, one is first; what the form asks for is done for the first only."""
    fields = "\0".join(f"{name}={form[name]}" for name in sorted(form))
    place = {
        "merchant_id": owner.merchant_id,
        "mode": int(owner.mode),
        "scope": scope,
        "key": form[KEY],
    }
    fingerprint = keyring.keyed_hash(fields, "form.fields")
    first = tx.run(
        """
        insert into idempotency (merchant_id, mode, surface, scope, key, fingerprint, state,
                                 created_at, locked_until_at, expires_at)
        values (:merchant_id, :mode, 'form', :scope, :key, :fingerprint, 'done', :now, :now, :expires_at)
        on conflict (merchant_id, mode, surface, scope, key) do nothing
        """,
        fingerprint=fingerprint,
        now=now,
        expires_at=after(now, KEPT),
        **place,
    )
    if first:
        return Use.FIRST
    [stored] = tx.all(
        """
        select fingerprint from idempotency
         where merchant_id = :merchant_id and mode = :mode and surface = 'form' and scope = :scope and key = :key
        """,
        **place,
    )
    return Use.REPEATED if same(stored["fingerprint"], fingerprint) else Use.CHANGED
